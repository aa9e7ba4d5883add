"""A loop with tqdm's bar that others can watch: one import is another one.

``progress-tracker watch train --url sqlite:///progress.db`` shows it in another terminal. Run as a
program, it trains in one process and watches from another.
"""

import asyncio
import subprocess
import sys
import time

from progress_tracker import ProgressTracker
from progress_tracker.tqdm import configure, tqdm  # was: from tqdm import tqdm

URL = "sqlite:///progress.db"


def train(epochs: int = 20) -> None:
    """Train a model, with a bar on standard error."""
    configure(ProgressTracker.from_url(URL), user_id="ada")
    with tqdm(range(epochs), desc="training", operation_id="train", mininterval=0.02) as bar:
        for epoch in bar:
            time.sleep(0.05)
            bar.set_postfix(loss=f"{1 / (epoch + 1):.3f}")


async def watch() -> None:
    """Print what is seen from here, until it is over."""
    seen: list[float] = []
    async with ProgressTracker.from_url(URL) as tracker:
        child = await asyncio.to_thread(subprocess.Popen, [sys.executable, __file__, "train"])
        async for state in tracker.watch("train", wait_for_create=30):
            seen.append(state.progress)
            last = state
        await asyncio.to_thread(child.wait)
    print(f"seen from another process: {len(seen) > 2}, in rising order: {seen == sorted(seen)}")
    print(f"{last.status}, {last.current:g} of {last.total:g}")


if __name__ == "__main__":
    if sys.argv[1:] == ["train"]:
        train()
    else:
        asyncio.run(watch())
