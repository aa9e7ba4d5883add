"""The examples of tqdm's own README, with one changed import, each as a program of its own."""

import functools
import http.server
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

pytest.importorskip("tqdm")
pytest.importorskip("sqlalchemy")

from progress_tracker import sync

pytestmark = pytest.mark.slow

# what an example uses without defining it: set up before, and driven after
BEFORE = """
import time
time.sleep = lambda seconds, _real=time.sleep: _real(min(seconds, 0.002))
"""
SETUP = {
    "file_obj.size": """
import io
file_obj = io.BytesIO(b"x" * 10_000); file_obj.size = 10_000
chunk_size = 1_000
""",
    "for i in trange(100)": "from time import sleep\n",
    "pbar = tqdm([": "from tqdm import tqdm\nfrom time import sleep\n",
    # the example counts on somebody having loaded it: with tqdm itself it fails as well
    "import urllib, os": "import urllib.request\n",
    "with tqdm(total=100) as pbar": "from tqdm import tqdm\nfrom time import sleep\n",
    "pbar = tqdm(total=100)": "from tqdm import tqdm\nfrom time import sleep\n",
    "arr.compute()": "import dask.array\narr = dask.array.arange(100, chunks=10).sum()\n",
}
AFTER = {
    "def find_files_recursively": "\nassert find_files_recursively('.')\n",
    "class TqdmExt(std_tqdm)": "\nwith TqdmExt(total=3, mininterval=0) as t:\n    t.update(3)\n",
    "class TqdmExtraFormat": "",
    "tqdm = partial(std_tqdm": "\nassert list(tqdm(range(3))) == [0, 1, 2]\n",
    "tqdm.pandas()": """
import pandas
assert list(pandas.Series(range(3)).progress_map(lambda n: 2 * n)) == [0, 2, 4]
""",
}
# libraries that an example is about; keras needs a model, and what would train it
NEEDS = {
    "import requests": "requests", "import pandas": "pandas", "tqdm.pandas()": "pandas",
    "arr.compute()": "dask.array", "from tqdm.notebook": "ipywidgets", "tqdm.keras": "keras",
}  # fmt: skip
HALVES = {
    "display(pbar", "cbk.display", "pbar.reset(total=len", "display=False", "pbar = tqdm()\n",
}  # fmt: skip
"""Cells that need another one, or leave something out."""
NO_EXAMPLE = "class tqdm():", "# different cell", "def tqdm.contrib"


def examples() -> list[str]:
    """Return the Python blocks of the README that runs beside us."""
    text = metadata("tqdm")["Description"] or str(metadata("tqdm").get_payload())
    blocks = re.findall(r"^\.\. code:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    found = [textwrap.dedent(each).strip() + "\n" for each in blocks]
    return [each for each in found if not each.startswith(NO_EXAMPLE)]


EXAMPLES = examples()


def name_of(example: str) -> str:
    lines = [line.strip() for line in example.splitlines()]
    words = next((each for each in lines if "tqdm" in each and "import" not in each), lines[0])
    return re.sub(r"\W+", "-", words)[:40].strip("-")


def program(example: str, link: str) -> str:
    setup = "".join(text for mark, text in SETUP.items() if mark in example)
    after = "".join(text for mark, text in AFTER.items() if mark in example)
    body = example.replace("https://cgi.cdcl.ml/matryoshka.zip", link)
    if "async for" in body:
        indented = textwrap.indent(body, "    ")
        body = f"import asyncio\nasync def main():\n{indented}\nasyncio.run(main())\n"
    changed = re.sub(
        r"^(\s*)from tqdm", r"\1from progress_tracker.tqdm", setup + body, flags=re.MULTILINE
    )
    assert "progress_tracker.tqdm" in changed
    return BEFORE + changed + after


def test_there_are_examples() -> None:
    runs = [each for each in EXAMPLES if not any(mark in each for mark in {*NEEDS, *HALVES})]
    assert len(EXAMPLES) >= 25
    assert len(runs) >= 17


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve what the examples download."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "matryoshka.zip").write_bytes(b"x" * 300_000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/matryoshka.zip"
        server.shutdown()


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example(example: str, link: str, tmp_path: Path) -> None:
    if any(mark in example for mark in HALVES):
        pytest.skip("half of an example")
    for mark, library in NEEDS.items():
        if mark in example:
            pytest.importorskip(library)
    script = tmp_path / "example.py"
    script.write_text(program(example, link))
    env = {**os.environ, "PROGRESS_TRACKER_URL": f"sqlite:///{tmp_path}/p.db"}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=env,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bar_unseen" not in done.stderr
    assert "Traceback" not in done.stderr
    with sync.ProgressTracker.from_url(env["PROGRESS_TRACKER_URL"]) as tracker:
        found = tracker.list_progress(kind="tqdm")
    assert found, "nobody could have watched it"
    assert {str(each.status) for each in found} <= {"completed", "cancelled"}
    if "break" not in example:
        assert {str(each.status) for each in found} == {"completed"}
