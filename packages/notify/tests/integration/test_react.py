"""A real React build: the users' TSX sample, our hook and components, and tsc over the types."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import until, until_in, visiting
from _common.react_build import bundled, check_types, made_in
from browser_site import Site
from notify import Notification, NotificationService, wire

pytestmark = [pytest.mark.slow, pytest.mark.integration]

PATHS = {"@modules/notifications": "./notifications.ts"}
SAMPLE = """\
import { useNotifications, NotificationList } from '@modules/notifications'

function App() {
  return (
    <NotificationList />
  )
}
"""
"""The users' sample as they wrote it, in its two parts; what they leave free comes from FREE."""
HOOK_SAMPLE = """\
// Custom hook
function useNotifications() {
  const [notifications, setNotifications] = useState<Notification[]>([])

  useEffect(() => {
    const unsubscribe = notificationService.subscribe(
      userId,
      (notification) => {
        setNotifications(prev => [notification, ...prev])
      }
    )

    return unsubscribe
  }, [userId])

  return { notifications }
}
"""
HOOK = (
    'import type { Notification } from "./static/client.js";\n'
    + HOOK_SAMPLE
    + "export { useNotifications };\n"
)
MODULE = """\
import * as React from "react";
import { create } from "./static/react.js";
const made = create(React, { base: "/notify/" });
export const { useNotifications, NotificationList, NotificationBell } = made;
"""
FREE = """\
import * as client from "./static/client.js";
export { useEffect, useState } from "react";
export const userId = "anna";
export const notificationService = client.sharedClient("/notify/");
"""
FREE_TYPES = """\
declare const useState: typeof import("react").useState;
declare const useEffect: typeof import("react").useEffect;
declare const userId: string;
declare const notificationService: import("./static/client.js").NotifyClient;
"""
MAIN = """\
import { StrictMode, useState as state } from "react";
import { createRoot } from "react-dom/client";
import { NotificationBell, useNotifications } from "./notifications";
import { useNotifications as useTheirs } from "./hook";
import { App } from "./sample";

function Page() {
  const [unreadOnly, setUnreadOnly] = state(false);
  const made = useNotifications({ unreadOnly });
  const { notifications, unread, status, error, markAsRead, archive } = made;
  const theirs = useTheirs();
  const titles = notifications.map((each) => each.title).join();
  const { shown = [] } = window as any;
  Object.assign(window, { shown: [...shown, [unreadOnly, titles]] });
  return (
    <main>
      <NotificationBell toast />
      <App />
      <output id="ours">{[status, error?.code, unread, titles].map(String).join()}</output>
      <output id="theirs">{theirs.notifications.map((each) => each.title).join()}</output>
      <button onClick={() => setUnreadOnly(!unreadOnly)}>filter</button>
      <button onClick={() => void markAsRead(notifications[0].id)}>read</button>
      <button onClick={() => void archive(notifications[0].id)}>put away</button>
    </main>
  );
}

const root = createRoot(document.body.appendChild(document.createElement("div")));
root.render(<StrictMode><Page /></StrictMode>);
Object.assign(window, { leave: () => root.unmount() });
"""
TYPES = """\
import type {
  Notification, NotificationFilters, NotificationPreferences, NotificationType,
} from "./static/client.js";
import { NotifyClient, fromJSON, safeUrl, sharedClient, subscribe } from "./static/client.js";
import { NotificationBellElement } from "./static/elements.js";

// the contract's own words, for what a page may do
interface Contract {
  markAsRead(notificationId: string, userId: string): Promise<void>;
  getUserNotifications(userId: string, filters?: NotificationFilters): Promise<Notification[]>;
  subscribe(userId: string, callback: (notification: Notification) => void): () => void;
}
interface ContractNotification {
  id: string;
  type: "info" | "success" | "warning" | "error";
  title: string;
  message: string;
  timestamp: Date;
  read: boolean;
  userId: string;
  category?: string;
  actionUrl?: string;
  actionLabel?: string;
  metadata?: Record<string, any>;
  channels?: ("in-app" | "email" | "push" | "sms")[];
}
const client: Contract = new NotifyClient("/notify", { token: async () => "t" });
const [first]: ContractNotification[] = await client.getUserNotifications("anna");
const preferences: NotificationPreferences = {
  channels: ["in-app"], categories: { news: false },
  quietHours: { start: "22:00", end: "07:00" },
};
await sharedClient().setPreferences("anna", preferences);
const stop: () => void = subscribe("anna", (n) => n.title.length);
const bell: NotificationBellElement = document.createElement("notification-bell");
bell.client = sharedClient();
bell.addEventListener("open", (event) => event.detail.notification.actionUrl);
const type: NotificationType = "error";
const address: string | undefined = safeUrl("/x");
// @ts-expect-error there is no such type
const wrong: NotificationType = "fatal";
// @ts-expect-error an id is a string
client.markAsRead(5, "anna");
// @ts-expect-error pages do not send
client.send(fromJSON({}));
export { address, bell, first, stop, type, wrong };
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {
        "sample.tsx": SAMPLE + "export { App };\n", "notifications.ts": MODULE,
        "hook.ts": HOOK, "free.ts": FREE, "free.d.ts": FREE_TYPES, "main.tsx": MAIN,
        "types.ts": TYPES,
    }  # fmt: skip
    return made_in(tmp_path_factory.mktemp("react"), "notify.asgi", texts)


def test_types(project: Path) -> None:
    assert check_types(project, True, "types.ts", "notifications.ts", paths=PATHS) == ""
    # the users' files are checked as they are, without strictness
    assert check_types(project, False, "main.tsx", "hook.ts", "free.d.ts", paths=PATHS) == ""


async def test_the_types_name_what_is_sent(project: Path) -> None:
    """An object with every field of the wire, given to the interface, and nothing left over."""
    async with NotificationService.from_url("memory://") as service:
        later = datetime(2999, 1, 1, tzinfo=UTC)
        sent = await service.send(
            Notification(
                title="t", user_id="u", category="c", action_url="/x", action_label="l",
                channels=["in-app"], expires_at=later,
            )
        )  # fmt: skip
        await service.mark_all_as_read("u", later, "c")
        item = to_builtins(wire.notification(await service.get(sent.id)))
        found = (await service.get_changes("u", 0)).events
    fields = " | ".join(f'"{name}"' for name in item)
    names = " | ".join(
        sorted({f'"{name}"' for each in found for name in to_builtins(wire.event(each))})
    )
    (project / "fields.ts").write_text(
        'import type { InboxEvent, Notification } from "./static/client.js";\n'
        "type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;\n"
        f"export const item: Same<keyof Notification, {fields}> = true;\n"
        f"export const event: Same<keyof InboxEvent, {names}> = true;\n"
    )
    assert check_types(project, True, "fields.ts", paths=PATHS) == ""


@pytest.fixture
def bundle(project: Path) -> Path:
    return bundled(project, PATHS)


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


async def test_the_hooks_and_the_components(bundle: Path, browser: Any) -> None:
    async with NotificationService.from_url("memory://") as service:
        await service.send(Notification(title="one", user_id="anna"))
        site = Site(service, bundle)
        await site.start()
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        await page.goto(site.url)
        await page.add_script_tag(url=f"{site.url}files/main.js", type="module")
        ours, theirs = (
            f"document.getElementById('{id}')?.textContent" for id in ("ours", "theirs")
        )
        await until_in(page, f"{ours} === 'ready,undefined,1,one'")
        await service.send(Notification(title="two", user_id="anna"))
        await service.send(Notification(title="bens", user_id="ben"))
        await until_in(page, f"{ours} === 'ready,undefined,2,two,one'")
        await until_in(page, f"{theirs} === 'two'")
        rows = (
            "document.querySelector('notification-list').shadowRoot.querySelectorAll('li').length"
        )
        await until_in(page, f"{rows} === 2")
        await page.get_by_role("button", name="read", exact=True).click()
        await until_in(page, f"{ours} === 'ready,undefined,1,two,one'")
        await page.get_by_role("button", name="filter").click()
        await until_in(page, f"{ours} === 'ready,undefined,1,one'")
        unread = await page.evaluate("shown.filter(([unreadOnly]) => unreadOnly)")
        assert {titles for _, titles in unread} == {"", "one"}, "nothing of the other question"
        await page.get_by_role("button", name="put away").click()
        await until_in(page, f"{ours} === 'ready,undefined,0,'")
        await until_in(page, f"{rows} === 1")
        assert site.connections == 1
        await page.evaluate("leave()")
        await until(lambda: site.connections == 0)
        assert not wrong
        await site.stop()
