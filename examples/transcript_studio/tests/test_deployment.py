"""compose.yaml and the Dockerfile name what is there: settings, commands, files."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from transcript_studio.cli import parser
from transcript_studio.errors import BadProfile
from transcript_studio.profile import Profile

HERE = Path(__file__).parents[1]
ROOT = HERE.parents[1]
SECRETS = {"STUDIO_PASSWORD": "secret", "STUDIO_MAIL": '""'}


@pytest.fixture
def compose() -> dict[str, Any]:
    text = re.sub(
        r"\$\{(\w+)(?::[-?][^}]*)?\}",
        lambda found: SECRETS[found[1]],
        (HERE / "compose.yaml").read_text(encoding="utf-8"),
    )
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.mark.parametrize("name", ["setup", "web", "worker"])
def test_its_processes_get_a_whole_profile(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    environ = service["environment"]
    profile = Profile.from_env(environ)
    assert profile.is_celery
    # all that is set is read, and goes on to child processes as it came
    assert profile.environ == environ
    # the servers that it names are services that have started by then, with these users
    for each in ("STUDIO_REDIS_URL", "STUDIO_POSTGRES_URL", "STUDIO_AMQP_URL"):
        host = re.search(r"//(?:studio:secret@)?(\w+):\d+", environ[each])
        assert host is not None
        assert "healthcheck" in compose["services"][host[1]]
    # uploads and links are shared
    assert service["volumes"] == [f"data:{environ['STUDIO_DATA']}"]
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert (HERE / service["build"]["context"]).resolve() == ROOT


def test_its_commands_are_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("setup", "web"):
        program, *words = services[name]["command"]
        assert program == "studio"
        parser().parse_args(words)
    served = parser().parse_args(services["web"]["command"][1:])
    assert (served.workers, services["web"]["deploy"]["replicas"]) == (0, 2)
    first, *words = services["worker"]["command"]
    assert (first, words[:2]) == ("celery", ["-A", "transcript_studio.worker:app"])
    assert services["worker"]["deploy"]["replicas"] == 3


def test_no_server_is_reached_from_outside(compose: dict[str, Any]) -> None:
    ports = {name: each.get("ports", []) for name, each in compose["services"].items()}
    assert ports.pop("web") == ["127.0.0.1:8000-8001:8000"]
    assert not any(ports.values())


def test_the_image_is_made_of_what_is_there() -> None:
    lines = (HERE / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    users = [each[1] for each in words if each[0] == "USER"]
    assert users == ["1000"]
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD")]
    program, *rest = yaml.safe_load(command)
    assert program == "studio"
    parser().parse_args(rest)
    kept = (HERE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for pattern in (each[1:] for each in kept if each.startswith("!")):
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"STUDIO_PROFILE": "cloud"}, "embedded or servers, not 'cloud'"),
        (
            {"STUDIO_PROFILE": "servers", "STUDIO_AMQP_URL": "amqp://x"},
            "needs STUDIO_REDIS_URL, STUDIO_POSTGRES_URL$",
        ),
    ],
)
def test_half_a_profile_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(BadProfile, match=message):
        Profile.from_env(environ)


def test_without_an_environment_all_is_in_files(tmp_path: Path) -> None:
    profile = Profile.from_env({"STUDIO_DATA": str(tmp_path)})
    assert profile == Profile.from_env(profile.environ)
    urls = (profile.progress, profile.jobs, profile.cache, profile.search, profile.exports)
    assert {url.partition("://")[0] for url in urls} == {"sqlite"}
