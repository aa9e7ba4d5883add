"""Who uses the studio in a soak: uploads, reads, searches, edits, over proxies that are cut."""

import asyncio
import random
from collections.abc import Sequence

import httpx
from ledger import Ledger, Upload

_WORDS = ("harbour", "lantern", "orchard", "meadow", "copper", "violin", "granite", "ribbon")


def _srt(rng: random.Random, mark: str, count: int) -> str:
    lines = [f"{mark} {' '.join(rng.choices(_WORDS, k=6))}" for _ in range(count)]
    return "\n".join(
        f"{n + 1}\n00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\n{line}\n"
        for n, line in enumerate(lines)
    )


async def use(name: int, bases: Sequence[str], ledger: Ledger, seed: int, pause: float) -> None:
    """Use the studio until cancelled, over one web process after another."""
    rng = random.Random(seed * 1000 + name)
    limits = httpx.Timeout(20)
    async with httpx.AsyncClient(timeout=limits) as client:
        while "studio_user" not in client.cookies:
            await _ask(client, ledger, "GET", bases[0])
        user = client.cookies["studio_user"]
        # the same person, whatever port
        client.cookies.clear()
        client.headers["cookie"] = f"studio_user={user}"
        number, mine = 0, list[Upload]()
        while True:
            await asyncio.sleep(rng.uniform(0, 2 * pause))
            base = rng.choice(bases)
            choice = rng.random()
            if choice < 0.4 or not mine:
                number += 1
                made = await _upload(client, ledger, base, user, rng, f"mark{name}x{number}")
                if made is not None:
                    mine.append(made)
            elif choice < 0.6:
                await _edit(client, ledger, base, rng.choice(mine), rng)
            elif choice < 0.8:
                await _ask(client, ledger, "GET", f"{base}api/search?q={rng.choice(_WORDS)}")
            else:
                await _ask(client, ledger, "GET", f"{base}api/transcripts")
            ledger.reads += 1


async def _upload(
    client: httpx.AsyncClient, ledger: Ledger, base: str, user: str, rng: random.Random, mark: str
) -> Upload | None:
    count = rng.randint(2, 12)
    text = _srt(rng, mark, count)
    url, headers = f"{base}api/transcripts", {"x-file-name": f"{mark}.srt"}
    answer = await _ask(client, ledger, "POST", url, content=text.encode(), headers=headers)
    if answer is None or answer.status_code != 201:
        return None
    first = text.splitlines()[2]
    made = Upload(answer.json()["id"], user, [first], count)
    ledger.uploads.append(made)
    return made


async def _edit(
    client: httpx.AsyncClient, ledger: Ledger, base: str, upload: Upload, rng: random.Random
) -> None:
    url = f"{base}api/transcripts/{upload.id}"
    found = await _ask(client, ledger, "GET", url)
    if found is None or found.status_code != 200:
        return
    text = f"edited {rng.getrandbits(48):x} {rng.choice(_WORDS)}"
    change = {"revision": found.json()["revision"], "texts": {"0": text}}
    answer = await _ask(client, ledger, "PATCH", url, json=change)
    if answer is not None and answer.status_code == 200:
        upload.texts, upload.edits = [text], upload.edits + 1
    elif answer is None or answer.status_code >= 500:
        upload.texts.append(text)  # it may have been made


async def _ask(
    client: httpx.AsyncClient, ledger: Ledger, method: str, url: str, **what: object
) -> httpx.Response | None:
    try:
        answer = await client.request(method, url, **what)  # type: ignore[arg-type]  # as httpx has them
    except httpx.HTTPError as exc:
        ledger.refused[type(exc).__name__] += 1
        return None
    if answer.status_code >= 400:
        ledger.refused[str(answer.status_code)] += 1
    return answer
