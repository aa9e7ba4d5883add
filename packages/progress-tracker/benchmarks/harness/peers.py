"""What a stored update costs the others that store one: celery-progress."""

import time
from importlib.metadata import version
from typing import Any

from ._common.results import Results


def run(results: Results, url: str, repetitions: int, writes: int) -> None:
    """Measure ``ProgressRecorder.set_progress`` on Celery's result backend in Redis."""
    from celery import Celery
    from celery_progress.backend import ProgressRecorder

    app = Celery("bench", broker="memory://", backend=url)

    @app.task(bind=True)  # type: ignore[untyped-decorator]  Celery has no types
    def work(self: Any) -> None:
        """Be what a recorder belongs to."""

    work.push_request(id="bench", called_directly=False)
    recorder = ProgressRecorder(work)
    measure = results.measure("write-Redis", "a stored write, Redis", "µs")
    for _ in range(repetitions):
        recorder.set_progress(0, writes)
        begun = time.perf_counter()
        for n in range(writes):
            recorder.set_progress(n, writes, description="x")
        each = (time.perf_counter() - begun) / writes * 1e6
        measure.add(f"celery-progress {version('celery-progress')}", each)
    work.pop_request()
