"""All clients come back at once, and each asks for what it missed."""

import asyncio
import re
import time
from dataclasses import replace

from ._common.results import Results
from ._common.serving import PATIENCE, Client, Crowd, Server, post, running
from .contenders import SERVERS

CLIENTS, MISSED = 1000, 100
_TITLE = re.compile(rb'"title":"title (\d{5})"')


async def _sockets(server: Server, port: int, clients: int, missed: int) -> float:
    """Return the seconds until every socket has heard all, once and in order."""
    loop, crowd = asyncio.get_running_loop(), Crowd(clients)
    crowd.expect(f"title {missed - 1:05}".encode())
    begun = time.perf_counter()
    made = await asyncio.gather(
        *(
            loop.create_connection(
                lambda n=n: Client(
                    crowd, server, f"/ws/notifications?user=u{n}&since=0&batch=1", keeps=True
                ),
                "127.0.0.1",
                port,
            )
            for n in range(clients)
        )
    )
    await crowd.all.wait()
    spent = time.perf_counter() - begun
    for _, each in made:
        _check(bytes(each.heard), missed)
        each.close()
    return spent


async def _requests(port: int, clients: int, missed: int) -> float:
    """Return the seconds until every page has asked, as client.js does first."""

    async def ask(n: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET /changes?user=u{n}&since=0 HTTP/1.1\r\nHost: x\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        return answer

    begun = time.perf_counter()
    answers = await asyncio.gather(*map(ask, range(clients)))
    spent = time.perf_counter() - begun
    for each in answers:
        _check(each, missed)
    return spent


def _check(heard: bytes, missed: int) -> None:
    titles = [int(each) for each in _TITLE.findall(heard)]
    assert titles == list(range(missed)), f"{len(titles)} of {missed}, or out of order"


async def run(
    results: Results, urls: dict[str, str], repetitions: int, clients: int, missed: int
) -> None:
    """Measure the floor, and ours on each store: by sockets, and by requests as pages do."""
    title = f"{clients:,} clients replay {missed} each"
    measure = results.measure("storm", title, "s")
    fill = f"/fill?users={clients}&each={missed}"
    floor = replace(SERVERS["starlette"], ready=b"title")
    for turn in range(repetitions):
        with running(floor) as (port, _):
            async with asyncio.timeout(PATIENCE):
                await post(port, fill)
                spent = await _sockets(floor, port, clients, missed)
            measure.add("bare Starlette, by sockets", spent, floor=True)
        for store, url in urls.items():
            server = replace(SERVERS["ours"], ready=b"title")
            with running(server, {"BENCH_URL": url}) as (port, _):
                async with asyncio.timeout(2 * PATIENCE):
                    await post(port, "/stand")  # its port is open before it has begun
                    if not turn:
                        await post(port, fill)  # they stay for the next turns
                    spent = await _requests(port, clients, missed)
                    measure.add(f"notify, by requests, {store}", spent, ours=True)
                    spent = await _sockets(server, port, clients, missed)
                    measure.add(f"notify, by sockets, {store}", spent, ours=True)
