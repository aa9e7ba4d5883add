"""A soak of the studio on servers: load and faults for a while, then what was promised is checked.

``python examples/transcript_studio/soak/soak.py --minutes 60 --seed 1 --out soak-report`` needs
what the tests on servers need. It ends with 0 only if nothing that was acknowledged is lost and the
memory of long-lived processes is flat.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [
    str(HERE),
    str(HERE.parent / "tests"),
    str(HERE.parents[2] / "packages/jobqueue/tests"),
]

from ledger import Ledger  # noqa: E402
from memory import Memory  # noqa: E402
from report import write  # noqa: E402
from studio_process import Studio  # noqa: E402
from users import use  # noqa: E402

from _common.postgres_server import POSTGRES, fresh_database, run_postgres  # noqa: E402
from _common.proxy import Proxy  # noqa: E402
from _common.rabbitmq_server import locate_rabbitmq, run_rabbitmq  # noqa: E402
from _common.redis_server import REDIS, run_redis  # noqa: E402
from _common.services import locate_program  # noqa: E402
from faults import Faults  # noqa: E402
from transcript_studio.profile import Profile  # noqa: E402
from transcript_studio.services import build  # noqa: E402

PAUSE_OF_FAULTS = (2.0, 8.0)  # seconds
# as in the Dockerfile: else glibc gives each thread that renders an arena, and keeps what is freed
os.environ.setdefault("MALLOC_ARENA_MAX", "2")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", "131072")


async def soak(arguments: argparse.Namespace) -> int:
    arguments.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(
            run_redis(locate_program(REDIS), "--appendonly", "yes", "--appendfsync", "always")
        )
        postgres = stack.enter_context(run_postgres(locate_program(POSTGRES)))
        rabbitmq = stack.enter_context(run_rabbitmq(locate_rabbitmq(own=True)))
        database = stack.enter_context(fresh_database(postgres))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-"))) / "data"
        profile = Profile.servers(folder, redis=redis.url, postgres=database, amqp=rabbitmq.url)
        studio = Studio(profile, module="transcript_studio.worker")
        try:
            await studio.start(webs=2, workers=3)
            proxies = [stack.enter_context(Proxy(web.port)) for web in studio.webs]
            rng = random.Random(arguments.seed)
            faults = Faults(studio, proxies, redis, postgres, rabbitmq, rng)
            return await _run(arguments, studio, proxies, faults)
        finally:
            log = folder / "worker.log"
            (arguments.out / "worker.log").write_bytes(log.read_bytes()[-2_000_000:])
            await studio.stop()


async def _run(
    arguments: argparse.Namespace, studio: Studio, proxies: list[Proxy], faults: Faults
) -> int:
    bases = [f"http://127.0.0.1:{each.port}/" for each in proxies]
    ledger, begun = Ledger(), time.monotonic()
    memory = Memory(studio, 60 * arguments.warm)
    tasks = [
        asyncio.create_task(use(name, bases, ledger, arguments.seed, arguments.pause))
        for name in range(arguments.users)
    ]
    tasks += [
        asyncio.create_task(faults.inject(PAUSE_OF_FAULTS)),
        asyncio.create_task(memory.watch()),
    ]
    done, _ = await asyncio.wait(
        tasks, timeout=60 * arguments.minutes, return_when=asyncio.FIRST_COMPLETED
    )
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in done:
        task.result()  # nobody ends by itself but by a fault of the soak
    studio.replace_dead_workers()
    loaded = time.monotonic() - begun
    print(f"{len(ledger.uploads)} uploads, {faults.done.total()} faults; the ledger …", flush=True)
    services = build(studio.profile)
    try:
        wrong = await ledger.check(services)
    finally:
        await services.aclose()
    wrong += memory.findings()
    file = write(arguments, ledger, faults, memory, wrong, loaded, time.monotonic() - begun)
    print(file.read_text(encoding="utf-8"))
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--pause", type=float, default=1.0, help="of a user, seconds on average")
    parser.add_argument("--warm", type=float, default=25.0, help="minutes until caches are full")
    parser.add_argument("--out", type=Path, default=Path("soak-report"))
    return asyncio.run(soak(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
