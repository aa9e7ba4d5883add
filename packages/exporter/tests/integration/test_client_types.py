"""tsc over client.d.ts: what users write compiles, and the types name what is sent."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from exporter import ExportService, ExportSource, Settings
from exporter.asgi.wire import to_wire
from small_exports import ROWS, ended

pytestmark = pytest.mark.slow
BAD = ExportSource("custom", "1", {"rows": 5})

USE = """
import { ExporterClient, ExporterClientError, isFinal } from "./static/client.js";
import type { ExportFormat, ExportJob, ExportOptions, ExportSource } from "./static/client.js";

// the specification's shapes
const source: ExportSource = { type: "transcript", id: "42" };
const options: ExportOptions = { template: "t", includeMetadata: true, filename: "f", ttl: 60 };
const format: ExportFormat = "docx";
const client = new ExporterClient("/exports/", { token: async () => "t", transports: ["poll"] });

export async function use(): Promise<Blob | string> {
  const job: ExportJob = await client.start(source, format, options, { idempotencyKey: "k" });
  const stop: () => void = client.follow(job.id, ({ progress }) => progress.toFixed(), {
    onEnd: (ended) => ended.completedAt?.getTime(),
    onTrouble: (error) => error.code === "expired",
  });
  stop();
  const ended = await client.wait(job.id, { signal: AbortSignal.timeout(1000) });
  const created: Date = ended.createdAt;
  const url: string | undefined = ended.downloadUrl;
  const { items, nextCursor } = await client.list({ status: "failed", limit: 5 });
  const flags: boolean[] = [await client.cancel(job.id), await client.delete(job.id), isFinal(job)];
  for (const each of items) await client.retry(each.id);
  console.log(created, url, nextCursor, flags, await client.formats(), client.fileUrl(job.id));
  try {
    return await client.blob(job.id, { onProgress: (received, total) => received / (total ?? 1) });
  } catch (error) {
    if (error instanceof ExporterClientError && error.status === 409) throw error;
    return await client.download(job.id, { filename: "a" });
  }
}
// @ts-expect-error an id is a string
client.get(5);
// @ts-expect-error there is no such status
client.list({ status: "done" });
// @ts-expect-error a source has an id
client.start({ type: "custom" }, "csv");
"""
SAME = """
import type {{ ExportJob }} from "./static/client.js";
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
export const same: Same<keyof ExportJob, {fields}> = true;
"""


def run(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("types")
    (folder / "package.json").write_text('{"private": true}')
    code, output = run(
        folder, npm, "install", "--no-audit", "--no-fund", "--silent", "typescript@5.9.3"
    )
    assert code == 0, output
    (folder / "static").mkdir()
    for each in files("exporter.asgi").joinpath("static").iterdir():
        (folder / "static" / each.name).write_bytes(each.read_bytes())
    return folder


def compiled(project: Path, text: str) -> str:
    (project / "use.ts").write_text(text)
    options = {
        "strict": True, "noEmit": True, "module": "esnext", "moduleResolution": "bundler",
        "target": "es2022", "lib": ["es2022", "dom", "dom.iterable"], "skipLibCheck": False,
        "types": [],
    }  # fmt: skip
    config = {"compilerOptions": options, "files": ["use.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config))
    return run(project, str(project / "node_modules/.bin/tsc"), "-p", "tsconfig.json")[1]


def test_what_users_write_compiles(project: Path) -> None:
    assert compiled(project, USE) == ""


async def test_the_types_name_what_is_sent(project: Path) -> None:
    """The fields of a finished and of a failed export, and of the interface: the same set."""
    pytest.importorskip("reportlab")
    settings = {
        "storage": {"url": "memory://", "public_url": "https://x.example/files"},
        "history": {"url": "memory://"},
        "downloads": {"signing_keys": {"k": "k" * 32}},
    }
    async with ExportService(Settings.from_mapping(settings)) as service:
        good = to_wire(await ended(service, ROWS, "pdf"))
        bad = to_wire(await ended(service, BAD, "csv"))
    names = " | ".join(sorted(f'"{name}"' for name in good | bad))
    assert compiled(project, SAME.format(fields=names)) == ""
