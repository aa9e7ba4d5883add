"""What the command ``studio`` says where it cannot begin: a line, and what to do."""

import socket
from pathlib import Path

import pytest

from transcript_studio.cli import main


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said, in a line, by a command that cannot begin."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""  # above all not where the page is
    assert said.err.count("\n") == 1
    assert said.err.startswith("studio: ")
    return said.err


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["serve", "--port", port])
    assert exit.value.code == 2
    assert f"not a port, 0 to 65535: {port!r}" in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is begun, and nobody is sent to the page of another program."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        data = tmp_path / "data"
        said = refused(["serve", "--port", str(port), "--data", str(data)], capsys)
    assert f"cannot listen on 127.0.0.1 port {port} (Address already in use): --port" in said
    assert not data.exists()


def test_an_address_of_another_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["serve", "--host", "192.0.2.1", "--port", "0", "--data", str(tmp_path / "data")]
    assert "cannot listen on 192.0.2.1 port 0" in refused(words, capsys)


@pytest.mark.parametrize("words", [["setup", "--data"], ["serve", "--port", "0", "--data"]])
def test_a_folder_that_is_none(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    said = refused([*words, str(file)], capsys)
    assert f"{str(file)!r} cannot be the folder of the data (File exists): name another" in said


def test_servers_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("STUDIO_PROFILE", "servers")
    monkeypatch.setenv("STUDIO_REDIS_URL", f"redis://{nowhere}")
    monkeypatch.setenv("STUDIO_POSTGRES_URL", f"postgresql://ada:secret@{nowhere}/studio")
    monkeypatch.setenv("STUDIO_AMQP_URL", f"amqp://{nowhere}")
    said = refused(["setup", "--data", str(tmp_path)], capsys)
    assert nowhere in said
    assert "secret" not in said
