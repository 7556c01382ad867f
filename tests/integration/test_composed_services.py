"""Each service of docker-compose.yml, by hand: its command, variables, secrets and health check.

The tests have no engine. So the container's folders are folders of the test, and names of machines and ports
are those of this machine; what is started, and when it is healthy, is as in the file.
"""

import os
import shlex
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from routing.embedded.server_program import find_server_program
from tests.printed_commands import SYSTEM_PATH, Block, PrintedShell
from tests.waiting import run, until_ended, wait_until

ROOT = Path(__file__).parents[2]

#: What answers in the place of `redis-cli`, which no wheel has.
REDIS_CLI = """#!{python}
import os, redis
print("PONG" if redis.Redis(port={port}, password=os.environ["REDISCLI_AUTH"]).ping() else "")
"""

SETTINGS = """
[[forge]]
kind = "github"
repositories = ["acme/shop"]
"""


@dataclass(frozen=True, kw_only=True)
class Containers:
    """The services of the compose file on this machine."""

    folder: Path
    services: dict[str, Any]
    ports: dict[str, int]  # those of the file, and the free ones that are used instead
    environment: dict[str, str]

    def here(self, text: str) -> str:
        """A value of the file with what is different on this machine."""
        for theirs, ours in self.ports.items():
            text = text.replace(theirs, str(ours))
        return text.replace("/run/secrets", str(self.folder / "secrets")).replace("$$", "$")

    def variables(self, service: str) -> dict[str, str]:
        """What a service finds in its environment."""
        given = self.services[service].get("environment", {})
        return self.environment | {name: self.here(value) for name, value in given.items()}

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service, in the folder that is /fleet."""
        argv = shlex.split(self.here(self.services[service]["command"]))
        if service == "redis":
            argv += ["--port", str(self.ports["6379"]), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if service == "web":
            argv += ["--port", str(self.ports["8321"])]
        with (self.folder / f"{service}.log").open("wb") as log:
            return subprocess.Popen(
                argv, cwd=self.folder / "fleet", env=self.variables(service), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def is_healthy(self, service: str) -> bool:
        """What the service's own health check says."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        argv = [*(["sh", "-c"] if kind == "CMD-SHELL" else []), *map(self.here, words)]
        return run(argv, cwd=self.folder / "fleet", env=self.variables(service)).returncode == 0


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    """All services, each started after what it waits for; the files are those that the page makes."""
    (page,) = [each for each in Block.all_of("docs/operations.md") if "secrets/redis_conf" in each.text]
    programs = tmp_path / "bin"
    programs.mkdir()
    PrintedShell.at(tmp_path, programs).run(page)
    ports = {port: free_port() for port in ("6379", "5555", "8321")}
    for name in ("celery", "coalmine", "python"):
        (programs / name).symlink_to(Path(sys.executable).with_name(name))
    (programs / "redis-server").symlink_to(find_server_program().path)
    (programs / "redis-cli").write_text(REDIS_CLI.format(python=sys.executable, port=ports["6379"]))
    (programs / "redis-cli").chmod(0o755)
    url = tmp_path / "secrets" / "redis_url"
    url.chmod(0o600)
    url.write_text(url.read_text().replace("redis:6379", f"127.0.0.1:{ports['6379']}"))
    (tmp_path / "secrets" / "forge_token").chmod(0o600)
    (tmp_path / "secrets" / "forge_token").write_text("t-0123456789\n")
    (tmp_path / "secrets" / "agent_key").chmod(0o600)
    (tmp_path / "secrets" / "agent_key").write_text("k-0123456789\n")
    (tmp_path / "fleet" / "coalmine.toml").write_text(SETTINGS)
    path = os.pathsep.join([str(programs), SYSTEM_PATH])
    made = Containers(
        folder=tmp_path,
        services={
            name: service
            for name, service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items()
            if not service.get("profiles")  # whose programs are of others; tests/real has them
        },
        ports=ports,
        environment={"PATH": path, "HOME": str(tmp_path), "COALMINE_AGENT__WORK_DIR": str(tmp_path / "work")},
    )
    with ExitStack() as stack:
        for service in sorted(made.services, key=lambda name: name != "redis"):
            process = made.start(service)
            stack.callback(until_ended, process, timeout=40)
            stack.callback(process.terminate)
            if service == "redis":
                wait_until(lambda: made.is_healthy("redis"), description="redis is healthy", timeout=20)
        yield made


@pytest.mark.timeout(240)
@pytest.mark.long
def test_every_service_becomes_healthy_with_its_secrets(containers: Containers) -> None:
    """By its own check; Flower and the console ask for what is in their files, and nothing else holds it."""
    for service, each in containers.services.items():
        if "healthcheck" in each:
            is_healthy = partial(containers.is_healthy, service)
            wait_until(is_healthy, description=f"{service} is healthy", timeout=60)
    secrets = containers.folder / "secrets"
    values = [file.read_text().strip() for file in secrets.iterdir()]
    said = str([[containers.variables(name), each["command"]] for name, each in containers.services.items()])
    assert not [value for value in values if value and value in said]
    flower, web = (f"http://127.0.0.1:{containers.ports[port]}" for port in ("5555", "8321"))
    basic = b64encode((secrets / "flower_auth").read_bytes().strip()).decode()
    token = (secrets / "web_token").read_text().strip()
    with httpx.Client(trust_env=False, timeout=10) as client:
        assert client.get(f"{flower}/api/workers").status_code == 401
        wait_until(
            lambda: _workers(client, flower, basic) == {"jobs", "control", "backtest"},
            description="Flower shows all workers",
        )
        assert client.get(f"{web}/readyz").status_code == 401
        assert client.get(f"{web}/readyz", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.post(f"{web}/webhook/github", content=b"{}").status_code == 401, "its secret is set"


def _workers(client: httpx.Client, flower: str, basic: str) -> set[str]:
    """The workers that Flower knows, for somebody who has its password."""
    shown = client.get(f"{flower}/api/workers?refresh=1", headers={"Authorization": f"Basic {basic}"})
    return {name.partition("@")[0] for name in shown.json()}
