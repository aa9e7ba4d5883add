"""Parents and their parts."""

import pytest

from progress_tracker import (
    ProgressCancelled,
    ProgressConflict,
    ProgressNotFound,
    ProgressTracker,
)


async def test_children_make_their_parents_percent(tracker: ProgressTracker) -> None:
    await tracker.create(id="p", user_id="u")
    for n in range(4):
        await tracker.create(id=f"c{n}", parent_id="p")
    assert (await tracker.get("p")).status == "pending"
    await tracker.update("c0", 50)
    await tracker.complete("c1")
    await tracker.fail("c2", "no")
    await tracker.cancel("c3")
    found = await tracker.get("p")
    assert (found.progress, found.status) == (37.5, "processing")
    children = found.children
    assert children is not None
    assert (children.total, children.completed, children.failed, children.cancelled) == (4, 1, 1, 1)
    assert children.active == 1
    listed = await tracker.list_progress(parent_id="p")
    assert sorted(each.id for each in listed) == ["c0", "c1", "c2", "c3"]
    await tracker.complete("p")
    with pytest.raises(ProgressConflict):
        await tracker.create(parent_id="p")
    with pytest.raises(ProgressNotFound):
        await tracker.create(parent_id="nobody")
    assert await tracker.delete("p")
    assert await tracker.list_progress() == []


async def test_nesting_has_an_end(tracker: ProgressTracker) -> None:
    parent = (await tracker.create()).id
    for _ in range(16):
        parent = (await tracker.create(parent_id=parent)).id
    with pytest.raises(ProgressConflict, match="deep"):
        await tracker.create(parent_id=parent)


async def test_request_cancel_reaches_all_parts(tracker: ProgressTracker) -> None:
    await tracker.create(id="p")
    await tracker.create(id="c", parent_id="p")
    await tracker.create(id="done", parent_id="p")
    await tracker.complete("done")
    await tracker.request_cancel("p")
    await tracker.request_cancel("p")
    assert (await tracker.get("c")).cancel_requested
    with pytest.raises(ProgressCancelled):
        async with tracker.track("c") as p:
            p.advance()
    assert (await tracker.get("c")).status == "cancelled"
