"""The usage samples of the users' specification run as they are written."""

import logging
from dataclasses import dataclass

import pytest

from notify import Notification, NotificationChannel, NotificationType, notifications


async def notify_transcript_complete(user_id: str, transcript_id: str):
    await notifications.send(
        Notification(
            type=NotificationType.SUCCESS,
            title="Transcription Complete",
            message=f"Your transcript {transcript_id} is ready",
            user_id=user_id,
            category="transcription",
            action_url=f"/transcripts/{transcript_id}",
            action_label="View Transcript",
            channels=[NotificationChannel.IN_APP, NotificationChannel.EMAIL],
        )
    )


@dataclass
class Anything:
    id: str


class progress_tracker:
    @staticmethod
    async def create(id):
        return Anything(id)


class job_queue:
    @staticmethod
    async def enqueue(name, data):
        return Anything("job-1")


notification_service = notifications
user_id = "ann"


# Progress tracking + Job Queue + Notifications
async def process_with_tracking(file_id: str):
    # Create progress tracker
    progress = await progress_tracker.create(id=file_id)

    # Enqueue job
    job = await job_queue.enqueue("process", {"file_id": file_id})

    # Notify user
    await notification_service.send(
        Notification(
            type=NotificationType.INFO,
            title="Processing Started",
            user_id=user_id,
            channels=[NotificationChannel.IN_APP],
        )
    )

    return job.id


@pytest.fixture
async def default():
    yield notifications
    await notifications.aclose()


async def test_the_backend_sample(default, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        await notify_transcript_complete("ann", "t1")
        await notify_transcript_complete("ann", "t2")
    # unconfigured: memory and one warning; e-mail is not set up: another
    texts = [each.getMessage() for each in caplog.records]
    assert sum("keeps everything in memory" in each for each in texts) == 1
    assert "sqlite:///notifications.db" in "".join(texts)
    page = await default.get_user_notifications("ann")
    assert [each.message for each in page] == [
        "Your transcript t2 is ready", "Your transcript t1 is ready",
    ]  # fmt: skip
    assert page[0].action_url == "/transcripts/t2"
    states = {each.channel: each for each in await default.deliveries(page[0].id)}
    assert str(states["in-app"].status) == "delivered"
    assert str(states["email"].status) == "suppressed"
    assert states["email"].reason == "channel_missing: not set up"


async def test_the_combined_sample(default) -> None:
    assert await process_with_tracking("f1") == "job-1"
    [found] = await default.get_user_notifications("ann", True, 10)
    assert (found.title, found.message, found.type) == ("Processing Started", "", "info")
    await default.mark_as_read(found.id, "ann")
    assert await default.get_user_notifications("ann", unread_only=True) == []
