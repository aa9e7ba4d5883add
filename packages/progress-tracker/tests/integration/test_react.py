"""A real React build: the users' TSX sample, the hook and the bar, and tsc over the types."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import until, until_in, visiting
from _common.react_build import bundled, check_types, made_in
from browser_site import Site
from progress_tracker import ProgressTracker
from progress_tracker.wire import to_json

pytestmark = [pytest.mark.slow, pytest.mark.integration]

PATHS = {"@modules/progress": "./progress.ts"}
SAMPLE = """\
// React component
import { useProgress } from '@modules/progress'

function FileUpload({ fileId }) {
  const { progress, stage, status } = useProgress(fileId)

  return (
    <div>
      <ProgressBar value={progress} />
      <p>Status: {status}</p>
      <p>Stage: {stage}</p>
    </div>
  )
}
"""
"""The users' sample as they wrote it; what it leaves free comes from FREE and MAIN."""
MODULE = """\
import * as React from "react";
import { create } from "./static/react.js";
export const { useProgress, ProgressBar } = create(React, { base: "/progress/" });
"""
FREE = 'export { ProgressBar } from "./progress";\n'
FREE_TYPES = """\
declare const ProgressBar: typeof import("./progress").ProgressBar;
"""
MAIN = """\
import { StrictMode, useLayoutEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { useProgress } from "./progress";
import { FileUpload } from "./sample";

function Page() {
  const [id, setId] = useState<string | null>("a");
  const { operation, isFinal, trouble, result, error, cancel, refresh } = useProgress(id);
  const { shown = [], between = () => {} } = window as any;
  Object.assign(window, { shown: [...shown, [id, operation?.id]] });
  useLayoutEffect(() => between(id), [id]);  // before the hook has left the one before
  return (
    <main>
      <FileUpload fileId={id} />
      <output>{[isFinal, trouble?.code, result?.rows, error?.message].map(String).join()}</output>
      <button onClick={() => setId("b")}>b</button>
      <button onClick={() => setId("nobody")}>nobody</button>
      <button onClick={() => setId(null)}>nothing</button>
      <button onClick={() => void cancel()}>cancel</button>
      <button onClick={refresh}>refresh</button>
    </main>
  );
}

const root = createRoot(document.body.appendChild(document.createElement("div")));
root.render(<StrictMode><Page /></StrictMode>);
Object.assign(window, { leave: () => root.unmount() });
"""
TYPES = """\
import type { Progress, ProgressStage, ProgressStatus } from "./static/client.js";
import { ProgressClient, fromJSON, isFinal, sharedClient } from "./static/client.js";
import { ProgressTrackerElement } from "./static/element.js";

// the contract's own words, for what a page may do
interface Contract {
  get(id: string): Promise<Progress>;
  subscribe(id: string, callback: (progress: Progress) => void): () => void;
}
interface ContractProgress {
  id: string;
  status: "pending" | "processing" | "completed" | "failed" | "cancelled";
  progress: number;
  stage?: string;
  stages?: ProgressStage[];
  error?: { message: string };
  metadata: Record<string, any>;
  createdAt: Date;
  updatedAt: Date;
  completedAt?: Date;
}
const client: Contract = new ProgressClient("/progress", { token: async () => "t" });
const progress: ContractProgress = await client.get("a");
const stop: () => void = sharedClient().watch("a", (p) => isFinal(p), (e) => e.status);
const element: ProgressTrackerElement = document.createElement("progress-tracker");
element.progress = fromJSON({});
const status: ProgressStatus = "cancelled";
// @ts-expect-error there is no such status
const wrong: ProgressStatus = "done";
// @ts-expect-error an id is a string
client.get(5);
// @ts-expect-error pages do not write
client.update("a", 5);
// @ts-expect-error a code that there is not
sharedClient().watch("a", () => {}, (e) => e.code === "nothing");
export { progress, status, stop, wrong };
"""


HEARD = """{
  window.heard = [];
  window.WebSocket = class extends WebSocket {
    set onmessage(listener) {
      window.say = (data) => listener({ data });
      super.onmessage = (event) => {
        heard.push(event.data);
        listener(event);
      };
    }
  };
}"""
LATE = """() => {
  window.late = [];
  window.between = (id) => {
    const { type, progress } = JSON.parse(heard.findLast((text) => text.includes('"id":"a"')));
    late.push(id);
    say(JSON.stringify({ type, progress: { ...progress, version: progress.version + 1 } }));
  };
}"""
"""The operation that was shown before changes once more while the page turns to another."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {
        "sample.tsx": SAMPLE + "export { FileUpload };\n", "progress.ts": MODULE,
        "free.ts": FREE, "free.d.ts": FREE_TYPES, "main.tsx": MAIN, "types.ts": TYPES,
    }  # fmt: skip
    return made_in(tmp_path_factory.mktemp("react"), "progress_tracker.asgi", texts)


def test_types(project: Path) -> None:
    assert check_types(project, True, "types.ts", "progress.ts", paths=PATHS) == ""
    # the sample gives its parameter no type: it is checked as it is, without strictness
    assert check_types(project, False, "main.tsx", "free.d.ts", paths=PATHS) == ""


async def test_the_types_name_what_is_sent(project: Path) -> None:
    """An object with every field of the wire, given to the interface, and nothing left over."""
    async with ProgressTracker.from_url("memory://") as tracker:
        async with tracker.track("p", user_id="u", stages=["s"], kind="k") as p:
            p.stage("s", total=4)
            p.log("line")
        wire = to_json(await tracker.get("p"))
    names = " | ".join(f'"{name}"' for name in wire)
    stages = " | ".join(f'"{name}"' for name in wire["stages"][0])
    lines = " | ".join(f'"{name}"' for name in wire["logs"][0])
    (project / "fields.ts").write_text(
        'import type { LogLine, Progress, ProgressStage } from "./static/client.js";\n'
        "type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;\n"
        f"export const all: Same<keyof Progress, {names}> = true;\n"
        f"export const stages: Same<keyof ProgressStage, {stages}> = true;\n"
        f"export const lines: Same<keyof LogLine, {lines}> = true;\n"
    )
    assert check_types(project, True, "fields.ts", paths=PATHS) == ""


@pytest.fixture
def bundle(project: Path) -> Path:
    return bundled(project, PATHS)


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


async def test_the_hook_and_the_bar(bundle: Path, browser: Any) -> None:
    async with ProgressTracker.from_url("memory://") as tracker:
        for id in "ab":
            await tracker.create(id=id, user_id="anna", stages=["read", "write"])
        await tracker.update("b", 80, "read")
        site = Site(tracker, bundle)
        await site.start()
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        await page.add_init_script(HEARD)
        await page.goto(site.url)
        await page.add_script_tag(url=f"{site.url}files/main.js", type="module")
        bar = "document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')"
        said = "[...document.querySelectorAll('p')].map((each) => each.textContent).join()"
        more = "document.querySelector('output').textContent"
        await until_in(page, f"{said} === 'Status: pending,Stage: '")
        await tracker.update("a", 60, "write")
        await until_in(page, f"{said} === 'Status: processing,Stage: write'")
        await until_in(page, f"{bar} === '30'")
        await page.get_by_role("button", name="cancel").click()

        async def asked() -> bool:
            return (await tracker.get("a")).cancel_requested

        await until(asked)
        await tracker.complete("a", {"rows": 7})
        await until_in(page, f"{more} === 'true,undefined,7,undefined'")
        await tracker.restart("a")
        await page.get_by_role("button", name="refresh").click()
        await until_in(page, f"{more}.startsWith('false')")
        await page.evaluate(LATE)
        await page.get_by_role("button", name="b", exact=True).click()
        await until_in(page, f"{bar} === '40'")
        of_others = "shown.filter(([id, known]) => known !== undefined && known !== id)"
        assert await page.evaluate("late") == ["b"]
        assert await page.evaluate(of_others) == []
        await until(lambda: tracker.get_stats().watchers == 1)
        await page.get_by_role("button", name="nobody").click()
        await until_in(page, f"{more} === 'false,not_found,undefined,undefined'")
        await page.get_by_role("button", name="nothing").click()
        await until_in(page, f"{more} === 'false,undefined,undefined,undefined'")
        await page.evaluate("leave()")
        await until(lambda: tracker.get_stats().watchers == 0)
        assert not wrong
        await site.stop()
