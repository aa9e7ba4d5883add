"""A handler's process ends with the worker that started it, however early that dies."""

import multiprocessing
import subprocess
import sys

from jobqueue.worker.processes import serve


def test_a_worker_that_died_before_its_child_began() -> None:
    """Its child's parent is somebody else by then, whom it must not follow."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()  # held open: the end of the pipe must not be what ends it
    arguments = (theirs, "process_handlers", "in_process", None, gone.pid)
    child = spawn.Process(target=serve, args=arguments, daemon=True)
    child.start()
    child.join(60)
    try:
        assert child.exitcode == 1
    finally:
        child.kill()
        ours.close()
