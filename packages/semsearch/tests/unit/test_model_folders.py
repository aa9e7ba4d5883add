"""What a folder of a model may hold, before any library opens it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semsearch import ConfigurationError, EmbeddingError
from semsearch.adapters.model_folders import fetched, fingerprint, vet

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    (made / "config.json").write_text('{"model_type": "bert"}')
    (made / "modules.json").write_text(json.dumps(MODULES))
    (made / "1_Pooling" / "config.json").write_text("{}")
    return made


def test_a_good_folder(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"beside the safetensors: nobody reads it")
    assert fetched(str(folder)) == folder
    first = fingerprint(folder)
    assert first == fingerprint(folder)
    (folder / "model.safetensors").write_bytes(b"other")
    assert fingerprint(folder) != first


def test_weights_that_differ_in_the_middle_by_their_size(folder: Path) -> None:
    """A megabyte of each end is read: what is between tells by its length."""
    made = set()
    for size in (3 << 20, 4 << 20):
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(size)
        made.add(fingerprint(folder))
    assert len(made) == 2
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    assert fingerprint(folder) not in made


def _write(name: str, text: str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return work


def _modules(**change: Any) -> Callable[[Path], None]:
    return _write("modules.json", json.dumps([MODULES[0], {**MODULES[1], **change}]))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_write("custom.py", "raise SystemExit"), "brings code"),
        (_write("2_Dense/pytorch_model.bin", "pickle"), "may hold code"),
        (_write("1_Pooling/weights.pkl", "pickle"), "may hold code"),
        (_write("config.json", '{"auto_map": {"AutoModel": "evil.Model"}}'), "auto_map"),
        (_write("tokenizer_config.json", '{"auto_map": {"x": "y"}}'), "auto_map"),
        (_write("config.json", "{"), "no JSON"),
        (_write("config.json", "[" * 200_000), "no JSON"),
        (_modules(type="evil.Module"), "code of its own"),
        (_modules(type=7), "code of its own"),
        (_modules(path="../../etc"), "outside"),
        (_modules(path="/etc"), "outside"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
    ],
)
def test_what_would_run_code_is_refused(
    folder: Path, spoil: Callable[[Path], None], match: str
) -> None:
    spoil(folder)
    with pytest.raises(ConfigurationError, match=match):
        vet(folder)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(EmbeddingError, match="no model folder"):
        fetched("./nowhere")
