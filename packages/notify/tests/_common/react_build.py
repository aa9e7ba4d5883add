"""A real React build: packages of npm, the browser's side of a package, tsc and esbuild."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGES = [
    "react@19.2.0", "react-dom@19.2.0", "esbuild@0.25.12", "typescript@5.9.3",
    "@types/react@19.2.2", "@types/react-dom@19.2.2",
]  # fmt: skip


def made_in(folder: Path, package: str, texts: Mapping[str, str]) -> Path:
    """``folder`` with the packages, ``texts`` as files, and ``package``'s files in ``static``."""
    (folder / "package.json").write_text('{"private": true}')
    _npm(folder, "install", "--no-audit", "--no-fund", "--silent", *PACKAGES)
    (folder / "static").mkdir()
    for each in files(package).joinpath("static").iterdir():
        (folder / "static" / each.name).write_bytes(each.read_bytes())
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def check_types(project: Path, strict: bool, *names: str, paths: Mapping[str, str]) -> str:
    """What tsc says of the files; ``paths`` are modules by the names that the files import."""
    options = {
        "strict": strict, "noEmit": True, "jsx": "react-jsx", "module": "esnext",
        "moduleResolution": "bundler", "target": "es2022", "skipLibCheck": False,
        "lib": ["es2022", "dom", "dom.iterable"],
        "paths": {name: [file] for name, file in paths.items()},
        "types": ["react", "react-dom"],
    }  # fmt: skip
    config = project / f"tsconfig.{strict}.json"
    config.write_text(json.dumps({"compilerOptions": options, "files": list(names)}))
    done = subprocess.run(
        [project / "node_modules/.bin/tsc", "-p", config], cwd=project,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout + done.stderr


def bundled(project: Path, paths: Mapping[str, str]) -> Path:
    """The folder of ``main.js``, ``main.tsx`` with its imports; free names come from free.ts."""
    esbuild = project / "node_modules/.bin/esbuild"
    out = project / "out"
    done = subprocess.run(
        [esbuild, "main.tsx", "--bundle", "--format=esm", "--jsx=automatic", "--inject:./free.ts",
         *(f"--alias:{name}={file}" for name, file in paths.items()),
         f"--outfile={out / 'main.js'}", '--define:process.env.NODE_ENV="development"'],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def _npm(folder: Path, *command: str) -> None:
    program = shutil.which("npm")
    if program is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        [program, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
