"""A real Prometheus reads a real web process, and its rules do what they promise."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import redis

from console.metrics.metric_list import METRICS
from routing.embedded.private_server import PrivateServer
from tests.programs.web_process import console
from tests.waiting import wait_until

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def program(name: str) -> str:
    """The path of a program of Debian's package `prometheus`."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; apt-get install prometheus")
    return found


def promtool(*arguments: str, folder: Path = RULES) -> None:
    """Run promtool, which must be content."""
    done = subprocess.run(  # its text is the assertion
        [program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_scrapes_the_web_process(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The target is up, its numbers are there, and the alert about a fleet without workers begins to wait."""
    assert redis_client.dbsize() == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
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
        argv = [
            program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with (
            subprocess.Popen(argv, stdout=sys.stderr, stderr=sys.stderr) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        ):

            def asked(query: str) -> list[dict[str, object]]:
                try:
                    answer = client.get("/api/v1/query", params={"query": query})
                    found: list[dict[str, object]] = answer.json()["data"]["result"]
                except (httpx.HTTPError, ValueError, KeyError):
                    return []
                return found

            try:
                wait_until(lambda: asked('up{job="coalmine"} == 1'), description="the target is up")
                names = {str(each["metric"]["__name__"]) for each in asked('{__name__=~"coalmine_.*"}')}  # type: ignore[index]
                assert names <= {metric.name for metric in METRICS}
                assert {"coalmine_jobs", "coalmine_webhook_deliveries_total", "coalmine_unread"} <= names
                wait_until(
                    lambda: asked('ALERTS{alertname="CoalmineNoWorker",alertstate="pending"}'),
                    description="the alert about workers waits for its time",
                )
            finally:
                server.terminate()
