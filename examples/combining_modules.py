"""Three of the libraries in one request: progress, a job and a notification.

The users' sample, with the services' names imported as it calls them.
"""

import asyncio

from jobqueue import Job
from jobqueue import queue as job_queue
from notify import Notification, NotificationChannel, NotificationType
from notify import notifications as notification_service
from progress_tracker import tracker as progress_tracker

user_id = "ada"


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


@job_queue.worker("process")
async def process(job: Job) -> str:
    """Do the work, and say how far it is."""
    async with progress_tracker.track(job.data["file_id"]) as progress:
        for percent in (25, 50, 75, 100):
            progress.update(percent)
    return "done"


async def main() -> None:
    """Run it in memory."""
    for service in (progress_tracker, job_queue, notification_service):
        service.configure("memory://")
    job_id = await process_with_tracking("file-1")
    await job_queue.run_until_idle()
    print(await job_queue.result(job_id), (await progress_tracker.get("file-1")).status)
    print(await notification_service.unread_count(user_id), "unread")
    for service in (progress_tracker, job_queue, notification_service):
        await service.aclose()


if __name__ == "__main__":
    asyncio.run(main())
