"""The files that people deploy with are held to the code: queues, processes, options, settings."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker
from typer.main import get_command

from console.cli import app
from routing.forges.registry import KINDS
from tasks.broker import make_app
from tasks.settings.origins import flat
from tasks.settings.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]

#: Settings that coalmine.example.toml sets to something else than the default, because the default is none.
EXAMPLES = {"redis_url", "forge.local.repository", "forge.local.issues", "forge.local.ci"}


def procfile() -> dict[str, str]:
    """Processes and their commands."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    named = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return {name: command.strip() for name, _, command in named}


def compose() -> dict[str, Any]:
    """The compose file, merges resolved."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return dict(document)


def composed() -> dict[str, str]:
    """Services that run Coalmine, and their commands."""
    return {name: service["command"] for name, service in compose()["services"].items() if name != "redis"}


def served(command: str) -> list[str]:
    """The queues that a worker's command names."""
    words = shlex.split(command)
    return words[words.index("-Q") + 1].split(",") if "-Q" in words else []


@pytest.mark.parametrize("read", [procfile, composed])
def test_workers_serve_every_queue_and_no_other(read: Callable[[], dict[str, str]]) -> None:
    """A queue that nobody serves is work that waits for ever; a queue that does not exist is a typo."""
    named = [queue for command in read().values() for queue in served(command)]
    exist = [queue.name for queue in make_app(Settings()).conf.task_queues]
    assert sorted(named) == sorted(exist)


@pytest.mark.parametrize("read", [procfile, composed])
def test_ticks_never_wait_for_agents(read: Callable[[], dict[str, str]]) -> None:
    """No worker serves the ticks' queue together with a queue of jobs."""
    for command in read().values():
        queues = set(served(command))
        assert queues in ({"champion", "canary"}, {"control"}, set())


@pytest.mark.parametrize("read", [procfile, composed])
def test_processes_are_those_of_a_celery_project_with_options_that_exist(
    read: Callable[[], dict[str, str]],
) -> None:
    """Workers, one beat and Flower, each started as `celery -A coalmine …`."""
    commands = {name: command for name, command in read().items() if name != "web"}
    assert set(commands) == {"worker", "control", "beat", "flower"}
    assert "web" in read()
    programs = {"worker": worker, "control": worker, "beat": beat}
    for name, command in commands.items():
        words = shlex.split(command)
        assert words[:3] == ["celery", "-A", "coalmine"]
        if name not in programs:
            assert words[3] == "flower"
            continue
        program = programs[name]
        assert words[3] == program.name
        known = {option for parameter in program.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words[4:] if word.startswith("-")} <= known


def test_the_web_process_stays_on_this_machine() -> None:
    """Nobody else is let in by the Procfile; who wants that says so in the settings."""
    assert procfile()["web"] == "coalmine web"


def test_the_composed_web_service_is_public_to_its_host_with_a_token() -> None:
    """It listens beyond its container, published to the machine alone; without a token nothing is started."""
    service = compose()["services"]["web"]
    words = shlex.split(service["command"])
    assert words[:2] == ["coalmine", "web"]
    options = {option for parameter in get_command(app).commands["web"].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("--")} == {"--host", "--public"} <= options
    assert service["ports"] == [f"127.0.0.1:{Settings().web.port}:{Settings().web.port}"]
    assert service["environment"]["COALMINE_WEB__TOKEN"].startswith("${COALMINE_WEB__TOKEN:?")
    for name, other in compose()["services"].items():
        if name not in {"web", "redis"}:
            assert "COALMINE_WEB__TOKEN" not in other["environment"], "agents need no token"
            environment = dict(service["environment"])
            assert other["environment"].items() <= environment.items()


def test_the_composed_server_keeps_its_data() -> None:
    """Append-only file on, nothing evicted, and the data outlives the container."""
    server = compose()["services"]["redis"]
    words = shlex.split(server["command"])
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options == {
        "--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction",
    }  # fmt: skip
    assert server["volumes"] == ["redis:/data"]


def test_variables_of_containers_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every COALMINE_… variable of compose file and image is read without complaint."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    environment = dict(re.findall(r"(COALMINE_\w+)=(\S+)", image))
    for name, service in compose()["services"].items():
        if name != "redis":
            environment |= service["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, "a-token-from-the-environment" if value.startswith("${") else value)
    settings = load_settings(tmp_path / "none.toml")
    assert settings.redis_url is not None
    assert str(settings.agent.work_dir).startswith("/var/lib/coalmine/")


def test_containers_end_after_their_jobs_were_given_back() -> None:
    """Docker waits longer than a warm shutdown takes."""
    for name, service in compose()["services"].items():
        if name != "redis":
            assert float(service["stop_grace_period"].removesuffix("s")) > Settings().job.drain_grace_seconds


def test_the_image_does_not_run_as_root_and_has_what_the_packages_need() -> None:
    """Every package of the wheel is copied, versions are pinned, and the last USER is not root."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)", image, re.MULTILINE)[-1] == "coalmine"
    assert "-c constraints.txt" in image
    for package in ("routing", "harvest", "tasks", "console", "coalmine"):
        assert f"COPY {package} {package}" in image


def test_the_example_loads_and_shows_the_defaults() -> None:
    """Copied as it is, the example changes nothing but the store and the local forge."""
    example = load_settings(ROOT / "coalmine.example.toml")
    shown, defaults = (
        {".".join(place): value for place, value in flat(one)} for one in (example, Settings())
    )
    for forge in example.forge:
        fresh = KINDS[forge.kind].config().model_dump()
        defaults |= {f"forge.{forge.name}.{name}": value for name, value in fresh.items()}
    assert {name for name, value in shown.items() if value != defaults[name]} == EXAMPLES


def test_the_example_names_every_setting() -> None:
    """A setting that is added appears in the example, as a value or after a #."""
    text = (ROOT / "coalmine.example.toml").read_text(encoding="utf-8")
    section, named = "", set()
    for line in text.splitlines():
        if heading := re.match(r"(?:# )?\[+([a-z._]+)\]+", line):
            section = heading[1] + "."
            named.add(heading[1])
        elif kind := re.match(r'kind = "(\w+)"', line):
            section = f"forge.{kind[1]}."
            named.add(section + "kind")
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            named.add(section + key[1])
    missing = {".".join(place) for place, _ in flat(Settings())} - named
    for one in ("local", "github"):
        missing |= {f"forge.{one}.{name}" for name in KINDS[one].config.model_fields} - named
    assert not missing, f"add {sorted(missing)} to coalmine.example.toml"
