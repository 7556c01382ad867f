"""A real Prometheus reads a real web process, and its rules do what they promise."""

import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import redis
import yaml

from console.metrics.metric_list import METRICS
from routing.embedded.private_server import PrivateServer
from tests.programs.web_process import console
from tests.waiting import carried_out, run, wait_until

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def program(name: str) -> str:
    """The path of a program of Debian's package `prometheus`."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; apt-get install prometheus")
    return found


def promtool(*arguments: str, folder: Path = RULES) -> None:
    """Run promtool, which must be content."""
    carried_out([program("promtool"), *arguments], cwd=folder)


def test_the_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """By promtool, over series that are made up; and the settings are right, with those of the containers."""
    promtool("check", "config", "prometheus.yml")
    (tmp_path / "web_read_token").write_text("0123456789abcdef")
    for file in RULES.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("/run/secrets", str(tmp_path)))
    promtool("check", "config", "compose.yml", folder=tmp_path)
    promtool("test", "rules", "coalmine.rules.test.yml")


def test_promtool_finds_nothing_to_blame(redis_server: PrivateServer) -> None:
    """Names, units, help and types are as Prometheus wants them."""
    with console(redis_server.url) as web:
        text = web.client.get("/metrics").text
    done = run([str(program("promtool")), "check", "metrics"], stdin=text)
    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_scrapes_the_web_process(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The target is up, its numbers are there, and the alert about a fleet without workers begins to wait."""
    assert redis_client.dbsize() == 0
    with console(redis_server.url) as web:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "coalmine.rules.yml")],
            "scrape_configs": [
                {
                    "job_name": "coalmine",
                    "static_configs": [{"targets": [web.address.removeprefix("http://")]}],
                }
            ],
        }
        file = tmp_path / "prometheus.yml"
        file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        options = [f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        with prometheus(options) as (asked, _):
            wait_until(lambda: asked('up{job="coalmine"} == 1'), description="the target is up")
            names = {str(each["metric"]["__name__"]) for each in asked('{__name__=~"coalmine_.*"}')}
            assert names <= {metric.name for metric in METRICS}
            assert {"coalmine_jobs", "coalmine_webhook_deliveries_total", "coalmine_unread"} <= names
            wait_until(
                lambda: asked('ALERTS{alertname="CoalmineNoWorker",alertstate="pending"}'),
                description="the alert about workers waits for its time",
            )


def test_the_composed_service_scrapes_with_its_secret(redis_server: PrivateServer, tmp_path: Path) -> None:
    """By the command and the file of docker-compose.yml; folders, ports and pace are of this machine.

    Its health check's path answers, and without its secret it would read nothing of a public web process.
    """
    service = yaml.safe_load((RULES.parents[1] / "docker-compose.yml").read_text())["services"]["prometheus"]
    (tmp_path / "web_read_token").write_text(READING)
    tokens = {"COALMINE_WEB__TOKEN": f"acting-{READING}", "COALMINE_WEB__READ_TOKEN": READING}
    with console(redis_server.url, "--public", variables=tokens) as web:
        assert web.client.get("/metrics").status_code == 401
        here = {
            "/run/secrets": str(tmp_path), "web:8321": web.address.removeprefix("http://"), "30s": "1s",
        }  # fmt: skip
        for file in RULES.iterdir():
            text = file.read_text(encoding="utf-8")
            for theirs, ours in here.items():
                text = text.replace(theirs, ours)
            (tmp_path / file.name).write_text(text, encoding="utf-8")
        folders = {"=/etc/prometheus": f"={tmp_path}", "=/prometheus": f"={tmp_path / 'data'}"}
        command = service["command"]
        for theirs, ours in folders.items():
            command = command.replace(theirs, ours)
        with prometheus(shlex.split(command)) as (asked, client):
            wait_until(lambda: asked('up{job="coalmine"} == 1'), description="the target is up")
            assert asked("coalmine_jobs")
            assert asked('ALERTS{alertname="CoalmineDown"}') == []
            path = service["healthcheck"]["test"][-1].partition(":9090")[2]
            assert client.get(path).status_code == 200


#: What Prometheus shows to the web process.
READING = "reading-0123456789abcdef"

#: The results of a query; none while the server does not answer.
Asked: TypeAlias = Callable[[str], list[dict[str, Any]]]


@contextmanager
def prometheus(options: Sequence[str]) -> Iterator[tuple[Asked, httpx.Client]]:
    """A real one on a free port, with what asks it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [program("prometheus"), *options, f"--web.listen-address=127.0.0.1:{port}"]
    with (
        subprocess.Popen(argv, stdout=sys.stderr, stderr=sys.stderr) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):

        def asked(query: str) -> list[dict[str, Any]]:
            try:
                answer = client.get("/api/v1/query", params={"query": query})
                found: list[dict[str, Any]] = answer.json()["data"]["result"]
            except (httpx.HTTPError, ValueError, KeyError):
                return []
            return found

        try:
            yield asked, client
        finally:
            server.terminate()
