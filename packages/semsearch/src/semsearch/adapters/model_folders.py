"""Folders of models, looked through before any library opens them.

A model can bring code: modules of its own, pickled weights. Neither is ever run. Weights must be
safetensors, and a folder that would make a library load anything else is refused, whether it was
downloaded or lies on this machine: flags against remote code do not cover local folders everywhere.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from .._common.extras import require
from ..errors import ConfigurationError, EmbeddingError

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npz", ".npy"})
_KINDS = ("sentence_transformers.",)
_WANTED = ["*.json", "*.txt", "*.safetensors", "*.model"]
_MOST_JSON = 64 << 20


def fetched(model: str, revision: str | None = None) -> Path:
    """Return the folder of a model; one of the hub is downloaded, without what may hold code.

    Raises:
        ConfigurationError: The folder would run code.
        EmbeddingError: It is not there and cannot be downloaded.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith((".", "/", "~")):
            raise EmbeddingError(f"there is no model folder {model!r}")
        hub: Any = require("huggingface_hub", dist="semsearch", extra="local")
        try:
            found = hub.snapshot_download(model, revision=revision, allow_patterns=_WANTED)
        except Exception as exc:
            raise EmbeddingError(f"the model {model!r} is not here: {type(exc).__name__}") from exc
        folder = Path(found)
    vet(folder)
    return folder


def vet(folder: Path) -> None:
    """Refuse a folder whose model would run code.

    Raises:
        ConfigurationError: It would; the message names the file.
    """
    files = [each for each in folder.rglob("*") if each.is_file()]
    safe = {each.parent for each in files if each.suffix == ".safetensors"}
    if not safe:
        raise ConfigurationError(f"{str(folder)!r} has no weights as .safetensors")
    for each in files:
        name = each.relative_to(folder).as_posix()
        if each.suffix == ".py":
            raise ConfigurationError(f"{str(folder)!r} brings code: {name!r}")
        if each.suffix in _PICKLES and each.parent not in safe:
            raise ConfigurationError(
                f"{str(folder)!r} has weights that may hold code: {name!r}; convert to safetensors"
            )
        if each.name in {"config.json", "tokenizer_config.json", "modules.json"} or (
            each.suffix == ".json" and "config" in each.name
        ):
            _vet_json(folder, each)


def _vet_json(folder: Path, file: Path) -> None:
    name = file.relative_to(folder).as_posix()
    try:
        if file.stat().st_size > _MOST_JSON:
            raise ConfigurationError(f"{name!r} of {str(folder)!r} is over {_MOST_JSON} bytes")
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        if isinstance(exc, ConfigurationError):
            raise
        raise ConfigurationError(f"{name!r} of {str(folder)!r} is no JSON") from exc
    if isinstance(found, dict) and "auto_map" in found:
        raise ConfigurationError(f"{str(folder)!r} names code of its own in {name!r}: auto_map")
    if file.name == "modules.json":
        for each in found if isinstance(found, list) else [{}]:
            kind = each.get("type") if isinstance(each, dict) else None
            if not isinstance(kind, str) or not kind.startswith(_KINDS):
                raise ConfigurationError(
                    f"{str(folder)!r} names code of its own: {str(kind)[:80]!r}"
                )
            path = str(each.get("path", ""))
            if ".." in Path(path).parts or Path(path).is_absolute():
                raise ConfigurationError(f"{str(folder)!r} names a path outside: {path[:80]!r}")


def fingerprint(folder: Path) -> str:
    """Return what tells models apart: a hash of names, sizes and heads of the weights."""
    hasher = hashlib.sha256()
    for each in sorted(folder.rglob("*.safetensors")):
        with each.open("rb") as file:
            hasher.update(each.relative_to(folder).as_posix().encode())
            hasher.update(str(each.stat().st_size).encode())
            hasher.update(file.read(1 << 20))
            file.seek(max(0, each.stat().st_size - (1 << 20)))
            hasher.update(file.read())
    return hasher.hexdigest()[:16]
