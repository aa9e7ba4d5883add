"""The usage samples of the users' specification run as they are written."""

import asyncio

from jobqueue import Job, JobQueue, Worker, queue


async def transcribe_file(file_id: str) -> str:
    return f"text of {file_id}"


@queue.worker("transcription")
async def process_transcription(job: Job):
    file_id = job.data["file_id"]
    # Process transcription
    result = await transcribe_file(file_id)
    return result


# Enqueue a job
async def start_transcription(file_id: str):
    job = await queue.enqueue("transcription", {"file_id": file_id}, priority=5)
    return job.id


async def get_queue_stats():
    stats = await queue.get_stats()
    return {
        "pending": stats.pending,
        "processing": stats.processing,
        "completed": stats.completed,
        "failed": stats.failed,
        "workers": stats.workers,
    }


async def test_samples_run_as_written() -> None:
    queue.configure("memory://")
    try:
        job_id = await start_transcription("f1")
        assert (await get_queue_stats())["pending"] == 1
        worker = Worker(queue)
        running = asyncio.create_task(worker.run())
        assert await queue.result(job_id, timeout=60) == "text of f1"
        stats = await get_queue_stats()
        assert (stats["pending"], stats["completed"], stats["workers"]) == (0, 1, 1)
        worker.stop()
        await running
    finally:
        await queue.aclose()


async def test_defaults_are_the_specifications() -> None:
    async with JobQueue.from_url("memory://") as fresh:
        job = await fresh.enqueue("x", {})
        assert (job.priority, job.max_attempts, job.scheduled_at) == (0, 3, None)
