"""What the page does while processes die and the network is cut, on both profiles.

The recogniser is gated, so that all happens in the middle of a job, however fast the machine is.
States and counts are asserted, never durations.
"""

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from pages import ended_once, fresh_page, listed, sound
from studio_process import Studio, api, running, until

from _common.browser import chromium
from _common.proxy import Proxy
from transcript_studio.profile import Profile
from transcript_studio.services import build
from transcript_studio.status import Status

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = files("transcript_studio") / "samples"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(shared_profile: Profile) -> AsyncIterator[Studio]:
    """Two web processes and three workers."""
    chromium()
    async with running(shared_profile, webs=2, workers=3) as made:
        yield made


async def test_all_web_processes_and_workers_are_one_studio(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [sound(f"talk {number}.wav") for number in range(6)])
    other = await page.context.new_page()
    await other.goto(studio.webs[1].url)
    # held at the gate, each worker has its hands full: all must take part
    workers = {each.pid for each in studio.workers}

    def begun() -> bool:  # by whom, now: a worker that had no time for its lease has lost a job
        last = {id: pid for pid, id in studio.gate.begun()}
        # Celery's take two jobs each; jobqueue's own take more
        taking_part = set(last.values()) == workers if studio.profile.is_celery else bool(last)
        return len(last) == 6 and taking_part

    await until(begun)
    assert {pid for pid, _ in studio.gate.begun()} <= workers
    await other.reload()
    await other.wait_for_selector("progress-tracker .stage[data-status=processing] >> nth=5")
    studio.gate.let(1)
    for each in (page, other):
        await each.wait_for_selector("#transcripts .state:text-is('Ready') >> nth=5")
        await each.wait_for_selector("notification-bell .badge:text-is('6')")
    for id in {id for _, id in studio.gate.begun()}:
        await ended_once(studio, page, id)


async def test_an_edit_here_is_seen_there(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    [entry] = await listed(page, studio.url)
    here, there = (f"{each.url}api/transcripts/{entry['id']}" for each in studio.webs)
    before = await api(page, there)
    assert await api(page, there) == before == await api(page, here)  # in the memory of both
    edit = {"revision": before["revision"], "title": "Vegetables"}
    after = await api(page, here, "PATCH", edit)

    async def is_seen() -> bool:
        return await api(page, there) == after

    await until(is_seen, "the other web process has the edit")  # its ttl is an hour
    # what was edited there since is not overwritten here
    again = {"revision": after["revision"], "title": "Flowers"}
    flowers = await api(page, there, "PATCH", again)
    answer = await page.request.fetch(here, method="PATCH", data={**again, "title": "Trees"})
    assert answer.status == 409

    async def is_seen_here() -> bool:
        return await api(page, here) == flowers

    await until(is_seen_here, "the first web process has the second edit")

    async def is_found() -> bool:
        hits = (await api(page, f"{studio.url}api/search?q=tomato"))["hits"]
        return bool(hits) and {each["title"] for each in hits} == {"Flowers"}

    await until(is_found, "the index has the last title")


async def test_a_killed_worker_is_stood_in_for(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [sound("waves.wav")])
    [(pid, id)] = await until(studio.gate.begun)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    studio.kill(pid)
    # the job is taken up again when the dead worker's lease is over
    begun = await until(lambda: len(studio.gate.begun()) == 2 and studio.gate.begun())
    assert begun[1][1] == id
    assert begun[1][0] != pid
    await page.wait_for_selector("progress-tracker .card[data-status=processing]")
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await ended_once(studio, page, id)
    assert len(studio.gate.begun()) == 2
    studio.replace_dead_workers()


async def test_a_frozen_worker_changes_nothing_when_it_wakes(studio: Studio, page: Any) -> None:
    if not studio.profile.is_celery:
        pytest.skip("frozen in the middle of a write it holds SQLite's lock: all wait for it")
    await page.set_input_files("#file", [sound("waves.wav")])
    [(pid, id)] = await until(studio.gate.begun)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    # so long that its lease is over and another has taken the job
    await studio.frozen(pid, lambda: len(studio.gate.begun()) == 2)
    assert studio.gate.begun()[1][0] != pid
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await ended_once(studio, page, id)
    state = await api(page, f"{studio.url}progress/{id}")
    assert state["status"] == "completed"


async def test_a_web_server_that_is_restarted_in_the_middle(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [sound("waves.wav")])
    [(_, id)] = await until(studio.gate.begun)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await studio.webs[0].stop()
    await page.wait_for_selector("notification-bell .bell.cut")
    studio.gate.let(0.75)
    await studio.webs[0].start()
    # nobody loads the page anew
    await page.wait_for_selector("notification-bell .bell:not(.cut)")
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]:has-text('75')")
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await ended_once(studio, page, id)


async def test_what_ends_while_the_network_is_cut_is_caught_up_with(
    studio: Studio, browser: Any
) -> None:
    studio.gate.begin_anew()
    with Proxy(studio.webs[0].port) as network:
        async with fresh_page(browser) as page:
            await page.goto(f"http://127.0.0.1:{network.port}/")
            await page.set_input_files("#file", [sound("waves.wav"), sound("more.wav")])
            begun = await until(lambda: len(studio.gate.begun()) == 2 and studio.gate.begun())
            await page.wait_for_selector("progress-tracker .stage[data-status=processing] >> nth=1")
            network.mode = "refuse"
            network.cut()
            await page.wait_for_selector("notification-bell .bell.cut")
            studio.gate.let(1)
            for _, id in begun:
                await studio.ended(id)
            assert not await page.locator("#transcripts .state:visible").count()
            network.mode = "pass"
            await page.wait_for_selector("#transcripts .state:text-is('Ready') >> nth=1")
            await page.wait_for_selector("notification-bell .badge:text-is('2')")
            for _, id in begun:
                await ended_once(studio, page, id)


async def test_a_page_that_was_offline_catches_up(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [sound("waves.wav")])
    [(_, id)] = await until(studio.gate.begun)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await page.context.set_offline(True)
    studio.gate.let(1)
    await studio.ended(id)
    await page.context.set_offline(False)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")


async def test_the_figures_are_those_of_all(studio: Studio) -> None:
    services = build(studio.profile)
    try:
        seen = await Status.of(services, None).read()
    finally:
        await services.aclose()
    assert seen["queue"]["workers"] >= 3
    assert (seen["queue"]["waiting"], seen["queue"]["running"], seen["queue"]["failed"]) == (
        0,
        0,
        0,
    )
