"""`coalmine mcp` and the official client, in the protocol's present form and in the one before."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from console.mcp.acting_tools import ACTING
from console.mcp.reading_tools import READING
from routing.embedded.private_server import PrivateServer
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.web_process import COALMINE
from tests.source import ROOT

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
CLIENT = ROOT / "tests" / "programs" / "mcp_client.py"


@pytest.mark.parametrize(("mode", "revision"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_the_official_client_reads_and_acts(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path, mode: str, revision: str
) -> None:
    """It finds the revision by itself, and takes every answer as one of the protocol's."""
    fleet = SteppedFleet(redis_client, draws=[0.9] * 4)
    fleet.on_trial()
    python = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "mcp" / "bin" / "python"

    def asked_of(tool: str, **arguments: str) -> Any:
        asked = [str(python), str(CLIENT), mode, tool, json.dumps(arguments), COALMINE, "mcp"]
        ended = subprocess.run(
            asked, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {
                "COALMINE_REDIS_URL": redis_server.url, "COALMINE_WEB__TOKEN": TOKEN,
                "COALMINE_MCP_TOKEN": TOKEN,
            },
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    status = asked_of("fleet_status")
    assert status["protocol"] == revision
    assert status["tools"] == [tool.name for tool in (*READING, *ACTING)]
    assert (status["error"], status["structured"]["paused"]) == (False, None)
    made = asked_of("enqueue", template="implementer", task="Make it pass")
    assert fleet.app.jobs.find(made["structured"]["job"]).request.task == "Make it pass"
    assert asked_of("show_job", job="0123456789abcdef")["error"]
