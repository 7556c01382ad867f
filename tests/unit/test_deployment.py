"""The files that people deploy with are held to the code: queues, processes, options, settings."""

import configparser
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker

from routing.forges.registry import KINDS
from routing.trackers.registry import TRACKER_KINDS
from tasks.broker import make_app
from tasks.settings.origins import flat
from tasks.settings.settings import Settings, load_settings
from tests.programs.command_line import own_surroundings, whole_command_line
from tests.waiting import run

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
    return {name: service["command"] for name, service in ours().items()}


#: Services that are programs of others: the store, and those of the profile `monitoring`.
OTHERS = {"redis", "prometheus", "grafana"}


def ours() -> dict[str, Any]:
    """The services of the image that is built here."""
    return {name: service for name, service in compose()["services"].items() if name not in OTHERS}


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
        assert queues in ({"champion", "canary"}, {"control"}, {"backtest"}, set())


@pytest.mark.parametrize("read", [procfile, composed])
def test_processes_are_those_of_a_celery_project_with_options_that_exist(
    read: Callable[[], dict[str, str]],
) -> None:
    """Workers, one beat and Flower, each started as `celery -A coalmine …`."""
    commands = {name: command for name, command in read().items() if name != "web"}
    assert set(commands) == {"worker", "control", "backtest", "beat", "flower"}
    assert "web" in read()
    programs = {"worker": worker, "control": worker, "backtest": worker, "beat": beat}
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
    """It listens beyond its container, published to the machine alone, and nobody else has its token."""
    service = compose()["services"]["web"]
    words = shlex.split(service["command"])
    assert words[:2] == ["coalmine", "web"]
    web = whole_command_line().commands["web"]
    options = {option for parameter in web.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} == {"--host", "--public"} <= options
    assert service["ports"] == [f"127.0.0.1:{Settings().web.port}:{Settings().web.port}"]
    for name, other in compose()["services"].items():
        assert ("web_token" in other.get("secrets", ())) == (name == "web"), "agents need no token"


def test_secrets_come_from_files_and_each_service_has_those_that_it_names() -> None:
    """Every file is declared, mounted where it is named, and made by the page."""
    document = compose()
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    declared = {name: each["file"] for name, each in document["secrets"].items()}
    assert declared == {name: f"./secrets/{name}" for name in declared}
    assert not [name for name in declared if f"secrets/{name}\n" not in page]
    for service in document["services"].values():
        text = str({**service, "secrets": ""}) + _configured(service)
        assert (
            set(re.findall(r"/run/secrets/(\w+)", text)) == set(service.get("secrets", ())) <= set(declared)
        )
    workers = [document["services"][name] for name in ("worker", "control")]
    assert all("forge_token" in each["secrets"] for each in workers), "agents push, ticks ask and merge"


def _configured(service: dict[str, Any]) -> str:
    """The file that a command of a program of others names, as it is in the repository."""
    found = re.findall(r"--config\.file=/etc/prometheus/(\S+)", service.get("command", ""))
    return "".join((ROOT / "deploy" / "prometheus" / name).read_text(encoding="utf-8") for name in found)


def test_services_are_watched_pinned_and_without_rights() -> None:
    """Each but beat has a health check; images have exact tags; logs are bounded; none writes its root."""
    for name, service in compose()["services"].items():
        assert ("healthcheck" in service) == (name != "beat")
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"]["max-size"]
        assert name == "redis" or service["cap_drop"] == ["ALL"]
        assert name in OTHERS or service["user"] == "${COALMINE_USER:-10001:10001}"
        assert service["read_only"] is True
        assert any(each.startswith("/tmp") for each in service["tmpfs"])  # noqa: S108 - of the container
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    tags = [compose()["services"][name]["image"] for name in sorted(OTHERS)]
    for tag in (*tags, re.findall(r"PYTHON_IMAGE=(\S+)", image)[0]):
        assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", tag) or "slim" in tag, tag


def test_monitoring_is_started_when_it_is_asked_for() -> None:
    """Prometheus and Grafana are a profile, on this machine alone; what they mount is in the repository."""
    services = compose()["services"]
    assert {name for name, each in services.items() if each.get("profiles")} == {"prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
        folders = [each.split(":")[0] for each in services[name]["volumes"] if each.startswith("./")]
        assert all((ROOT / folder).is_dir() for folder in folders)
        assert {volume.split(":")[0] for volume in services[name]["volumes"]} - {*folders} == {name}
    grafana = services["grafana"]
    (name,) = grafana["secrets"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{name}"
    assert name in compose()["secrets"]
    (source,) = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (scraped,) = yaml.safe_load(
        (ROOT / "deploy/prometheus/compose.yml").read_text(encoding="utf-8")
    )["scrape_configs"]  # fmt: skip
    assert scraped["static_configs"] == [{"targets": [f"web:{Settings().web.port}"]}]


#: Addresses of services in files that services read: where, and how they are written there.
_NAMED = (
    ("deploy/prometheus/compose.yml", r"targets: \[([a-z]+):(\d+)\]"),
    ("deploy/grafana/provisioning/datasources/prometheus.yml", r"url: http://([a-z]+):(\d+)"),
    ("docs/operations.md", r"@([a-z]+):(\d+)/0\" > secrets/redis_url"),
)


def test_names_and_ports_of_services_agree() -> None:
    """Who asks another by name asks one that there is, at its port; a health check asks its own."""
    services = compose()["services"]
    ports = {name: {port.split(":")[2] for port in each.get("ports", ())} for name, each in services.items()}
    ports["redis"] = {"6379"}  # its own, which nobody changed and nobody publishes
    assert "--port" not in services["redis"]["command"]
    for file, written in _NAMED:
        ((name, port),) = re.findall(written, (ROOT / file).read_text(encoding="utf-8"))
        assert port in ports[name], f"{file} asks {name} at {port}"
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        asked = re.findall(r"http://127\.0\.0\.1:(\d+)/", str(service.get("healthcheck", "")))
        assert set(asked) <= ports[name], f"the health check of {name} asks {asked}"
    flower = [re.findall(r"--port=(\d+)", line) for line in (procfile()["flower"], composed()["flower"])]
    assert flower[0] == flower[1] == list(ports["flower"])
    assert ports["web"] == {str(Settings().web.port)}, "its command names no other"


def test_the_composed_server_keeps_its_data() -> None:
    """Append-only file on, nothing evicted, a password, and the data outlives the container."""
    server = compose()["services"]["redis"]
    words = shlex.split(server["command"])
    assert words[:2] == ["redis-server", "/run/secrets/redis_conf"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options == {
        "--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction",
    }  # fmt: skip
    assert server["volumes"] == ["redis:/data"]


def test_variables_of_containers_are_settings(tmp_path: Path) -> None:
    """Every COALMINE_… variable of compose file and image is read without complaint."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    environment = dict(re.findall(r"(COALMINE_\w+)=(\S+)", image))
    contents = {"redis_url": "redis://:pw@redis:6379/0", "web_token": "a-token-of-the-file"}
    for service in ours().values():
        environment |= service["environment"]
    with own_surroundings():
        for name, value in environment.items():
            secret = value.removeprefix("/run/secrets/")
            if secret != value:
                (tmp_path / secret).write_text(contents.get(secret, "s3cr3t-of-the-file"))
            if name.startswith("COALMINE_"):
                os.environ[name] = value.replace("/run/secrets", str(tmp_path))
        settings = load_settings(tmp_path / "none.toml")
    assert settings.redis_url is not None
    assert settings.web.token is not None
    assert settings.web.token.get_secret_value() == "a-token-of-the-file"
    served = {forge.name for forge in settings.forge if forge.is_served}
    assert served == {"github"}, "the forge has its token"
    assert str(settings.agent.work_dir).startswith("/var/lib/coalmine/")


def test_containers_end_after_their_jobs_were_given_back() -> None:
    """Docker waits longer than a warm shutdown takes."""
    for service in ours().values():
        assert float(service["stop_grace_period"].removesuffix("s")) > Settings().job.drain_grace_seconds


def units() -> dict[str, configparser.SectionProxy]:
    """The services of systemd, without the beginning of their names."""
    found = {}
    for file in sorted((ROOT / "deploy" / "systemd").glob("coalmine-*.service")):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read(file)
        found[file.stem.removeprefix("coalmine-")] = parser["Service"]
    return found


def united() -> dict[str, str]:
    """What the units run, as the Procfile has it."""
    return {
        name: service["ExecStart"].removeprefix("/opt/coalmine/bin/").replace("%%", "%")
        for name, service in units().items()
    }


def test_units_run_what_the_procfile_runs() -> None:
    """Every process has one, with the same command but for the number of agents."""
    sizes = re.compile(r" -c \d+")
    assert {name: sizes.sub("", line) for name, line in united().items()} == {
        name: sizes.sub("", line) for name, line in procfile().items()
    }
    for service in units().values():
        assert service["User"] == "coalmine"
        assert service["EnvironmentFile"] == "/etc/coalmine/environment"
    assert float(units()["worker"]["TimeoutStopSec"]) > Settings().job.drain_grace_seconds
    assert units()["worker"]["Delegate"] == units()["control"]["Delegate"] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="the machine has no systemd")
def test_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    """As `systemd-analyze verify` reads them, with programs that are there."""
    for file in (ROOT / "deploy" / "systemd").iterdir():
        text = file.read_text(encoding="utf-8").replace("/opt/coalmine/bin", str(Path(sys.executable).parent))
        (tmp_path / file.name).write_text(text)
    argv = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    verified = run(argv)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_an_image_is_built_from_what_is_copied_and_nothing_else() -> None:
    """So no secret, no settings file and no state of a fleet reaches it, whatever the folder holds."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word for line in re.findall(r"^COPY ((?!--).+)$", image, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)


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
    section, named = "", set[str]()
    for line in text.splitlines():
        if heading := re.match(r"(?:# )?\[+([a-z._]+)\]+", line):
            section = heading[1] + "."
            named.add(heading[1])
        elif kind := re.match(r'(?:# )?kind = "(\w+)"', line):
            section = f"{section.partition('.')[0]}.{kind[1]}."
            named.add(section + "kind")
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            named.add(section + key[1])
    missing = {".".join(place) for place, _ in flat(Settings())} - named
    for one in ("local", "github"):
        missing |= {f"forge.{one}.{name}" for name in KINDS[one].config.model_fields} - named
    for name, tracker in TRACKER_KINDS.items():
        fields = tracker.config.model_fields if name == "jira" else tracker.config.__annotations__
        missing |= {
            f"tracker.{name}.{field}" for field in fields if field in tracker.config.model_fields
        } - named
    missing -= {"tracker.linear.name", "tracker.linear.base_url"}
    assert not missing, f"add {sorted(missing)} to coalmine.example.toml"


def test_no_secret_of_compose_is_a_variable() -> None:
    """Each is a file that the service is given and names; nothing comes from a person's environment."""
    services = compose()["services"]
    for name, service in services.items():
        variables = service.get("environment", {})
        assert not [variable for variable, value in variables.items() if "${" in str(value)], name
        named = {str(value).removeprefix("/run/secrets/") for variable, value in variables.items()
                 if variable.endswith("_FILE")}  # fmt: skip
        named |= set(re.findall(r"/run/secrets/(\w+)", _configured(service)))
        assert named | {"redis_conf"} == {*service.get("secrets", ()), "redis_conf"}, name
    assert {name for name, each in services.items() if "agent_key" in each.get("secrets", ())} == {
        "worker",
        "backtest",
    }
