"""The usage samples of the users' specification run as they are written."""

from collections.abc import AsyncIterator

import pytest

from progress_tracker import ProgressTracker, tracker
from progress_tracker import tracker as progress_tracker

broken: list[str] = []


async def upload_file(file_id: str) -> None:
    if file_id in broken:
        raise ConnectionError("the network is down")


async def do_transcription_work() -> None:
    pass


# In your long-running operation handler
async def process_file(file_id: str):
    # Create progress tracker
    progress = await tracker.create(
        id=file_id,
        stages=["upload", "transcribe", "process"]
    )  # fmt: skip

    try:
        # Stage 1: Upload
        await tracker.update(progress.id, 0, "upload")
        await upload_file(file_id)
        await tracker.update(progress.id, 100, "upload")

        # Stage 2: Transcribe
        await tracker.update(progress.id, 0, "transcribe")
        for i in range(100):
            await do_transcription_work()
            await tracker.update(progress.id, i, "transcribe")

        # Complete
        await tracker.complete(progress.id)
    except Exception as e:
        await tracker.fail(progress.id, e)


async def process_with_tracking(file_id: str):
    # Create progress tracker
    progress = await progress_tracker.create(id=file_id)
    return progress.id


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    tracker.configure("memory://")
    yield
    await tracker.aclose()


async def test_it_completes() -> None:
    await process_file("f1")
    found = await tracker.get("f1")
    assert (found.status, found.progress) == ("completed", 100)
    assert [each.status for each in found.stages or ()] == ["completed"] * 3


async def test_it_fails() -> None:
    broken.append("f2")
    await process_file("f2")
    found = await tracker.get("f2")
    assert (found.status, found.error, found.stage) == ("failed", "the network is down", "upload")


async def test_combined() -> None:
    assert await process_with_tracking("f3") == "f3"


async def test_defaults_are_the_specifications() -> None:
    async with ProgressTracker.from_url("memory://") as fresh:
        made = await fresh.create()
        assert (made.stages, made.metadata, made.error) == (None, {}, None)
        await fresh.update(made.id, 1)
        await fresh.complete(made.id)
        assert (await fresh.get(made.id)).result is None
