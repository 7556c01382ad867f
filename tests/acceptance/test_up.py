"""`coalmine up` on a git repository: issues in, commits and closed issues out."""

import json
import re
import shlex
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.commands.up import NO_ISSUES
from routing.git.git import Git
from tests.programs.command_line import CommandLine
from tests.programs.spying_agent import Spy, bystander
from tests.programs.up_program import AGENT, issue_fields, running_up, up_environment, workplace
from tests.waiting import run, wait_until


def _fleet_status(folder: Path) -> Any:
    """What `coalmine status` says in a folder."""
    argv = [sys.executable, "-m", "coalmine", "status", "--json"]
    asked = run(argv, cwd=folder, env=up_environment())
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def _shows_end(folder: Path, number: int) -> bool:
    """Whether the issue shows its job's end."""
    return bool(issue_fields(folder, number).get("comments"))


def test_issues_become_commits_and_end_closed_or_with_a_person(tmp_path: Path) -> None:
    """Green work is merged and its issue closed; red work and no work are handed to a person."""
    workplace(tmp_path)
    (tmp_path / "issues" / "broken.md").write_text("---\nnumber: [\n---\nRepair it.\n")
    with running_up(tmp_path) as process:
        wait_until(
            lambda: all(_shows_end(tmp_path, number) for number in (1, 2, 3)) or process.poll() is not None,
            description="all three issues show the end of their jobs",
            timeout=60,
        )
        assert process.poll() is None, (tmp_path / "up.log").read_text()
        argv = [sys.executable, "-m", "coalmine", "job", "list", "--json"]
        asked = run(argv, cwd=tmp_path, env=up_environment())
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.count('"succeeded"') == 1, "a command in the same folder finds the fleet"
        below = tmp_path / "shop" / "deep"
        below.mkdir()
        status = _fleet_status(below)
        assert (status["place"]["running"], status["issues"]["completed"]) == (True, 1)
        assert len(status["processes"]) == 3, "two workers and beat"
        pages = _pages(tmp_path)
        with httpx.Client(base_url=pages, trust_env=False, timeout=20) as browser:
            text = browser.get("/jobs?state=succeeded", headers={"Accept": "text/html"}).text
        assert "Greet" in text, "the page that it names shows what was done"
    assert process.returncode == 0, (tmp_path / "up.log").read_text()
    assert issue_fields(tmp_path, 1)["state"] == "closed"
    assert "ready-for-human" in issue_fields(tmp_path, 2)["labels"]
    assert "ready-for-human" in issue_fields(tmp_path, 3)["labels"]
    assert (tmp_path / "shop" / "greeting.txt").read_text() == "hello\n", "the checkout is kept in step"
    assert (tmp_path / "shop" / "check.txt").read_text() == "fine\n", "red work is not merged"
    statuses = list((tmp_path / ".coalmine" / "forge" / "statuses").glob("*.json"))
    assert len(statuses) == 4, (
        "each pushed commit has its status, and so has main, before the merge and after"
    )
    assert not (tmp_path / ".coalmine" / "running.json").exists()
    left = _fleet_status(below)
    assert (left["place"]["running"], left["issues"]["completed"]) == (False, 1)
    listed = run([sys.executable, "-m", "coalmine", "job", "list"], cwd=below, env=up_environment())
    assert "is not running, last seen" in listed.stderr
    assert "succeeded" in listed.stdout
    assert _door(tmp_path) is None, "nobody could send a webhook"
    assert _status(f"{pages}/healthz") == 0, "the pages end with the fleet"
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert {"job.queued", "job.claimed", "job.waiting", "job.finished"} <= {event["kind"] for event in events}
    (unread,) = [event for event in events if event["kind"] == "issue.unreadable"]
    assert unread["subject"] == "broken.md", "what cannot be read is named, once"
    assert "The fleet has ended" in (tmp_path / "up.log").read_text(), (
        "what is not an event is said beside them"
    )


@pytest.mark.long
def test_an_agent_sees_no_secret_of_what_runs_beside_it(tmp_path: Path) -> None:
    """Neither of `coalmine up`, nor of its workers, beat and Redis server; its work is done all the same."""
    workplace(tmp_path)
    spy, secrets = Spy(tmp_path), {"SHOP_API_KEY": "k-5c1f0e7a9b", "COALMINE_WEB__TOKEN": "t-e91b6f3d02a84c"}
    (tmp_path / "agent.sh").write_text(
        f"#!/bin/sh\ncat > /dev/null\n{spy.line('agent')} && echo hello > greeting.txt\n"
    )
    with bystander(BYSTANDER="in the open"), running_up(tmp_path, **secrets) as process:
        report = spy.report("agent")
        wait_until(
            lambda: issue_fields(tmp_path, 1).get("state") == "closed",
            description="its work is done",
            timeout=60,
        )
    assert report.showing("in the open"), "the spy sees what is not hidden"
    assert process.pid in report.forebears, "the spy looked at what started the fleet"
    assert report.showing("redis.sock"), "the spy looked at the server"
    assert not [name for name, secret in secrets.items() if report.showing(secret)]


@pytest.mark.long
def test_a_second_interrupt_costs_no_attempt_and_the_next_up_goes_on(tmp_path: Path) -> None:
    """It is said what is waited for and what became of the job; the next `up` needs no option."""
    workplace(tmp_path)
    for number in (2, 3):
        (tmp_path / "issues" / f"{number}.md").unlink()
    (tmp_path / "issues" / "broken.md").write_text("---\nnumber: [\n---\nRepair it.\n")
    (tmp_path / "agent.sh").write_text(
        "#!/bin/sh\ncat > /dev/null\n"
        f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; exec sleep 600; }}\n"
        "echo hello > greeting.txt\n"
    )
    with running_up(tmp_path, COALMINE_JOB__DRAIN_GRACE_SECONDS="600") as process:
        wait_until((tmp_path / "again").exists, description="the agent is at work", timeout=60)
        process.send_signal(signal.SIGINT)
        wait_until(
            lambda: "Ending: 1 agent may go on for up to 6" in (tmp_path / "up.log").read_text(),
            description="it is said what is waited for",
            timeout=60,
        )
    said = (tmp_path / "up.log").read_text()
    assert "goes on at the next start; no attempt was used up" in said
    with running_up(tmp_path, arguments=[]) as process:
        wait_until(
            lambda: issue_fields(tmp_path, 1).get("state") == "closed" or process.poll() is not None,
            description="the next fleet does the work",
            timeout=90,
        )
        argv = [sys.executable, "-m", "coalmine", "job", "list", "--json"]
        (job,) = json.loads(run(argv, cwd=tmp_path, env=up_environment()).stdout)["jobs"]
    said = (tmp_path / "up.log").read_text()
    assert re.search(r"broken\.md .*\(as it was last looked at\)", said), "what nobody has repaired"
    assert "forge.local.ci = grep -q fine check.txt  (from: last up)" in said
    assert (job["state"], job["attempts"]) == ("succeeded", 1)


@pytest.mark.long
def test_work_that_people_merge_leaves_its_issue_open_until_they_have(tmp_path: Path) -> None:
    """The comment names the branch; the merge by hand closes the issue."""
    workplace(tmp_path)
    for number in (2, 3):
        (tmp_path / "issues" / f"{number}.md").unlink()
    arguments = ["--repo", "shop", "--issues", "issues", "--ci", "grep -q fine check.txt",
                 "--agent", "../agent.sh", "--merge", "never"]  # fmt: skip
    (tmp_path / "shop" / "agent.sh").write_text(AGENT)
    (tmp_path / "shop" / "agent.sh").chmod(0o755)
    git = Git(tmp_path / "shop")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Bring the agent")
    arguments[7] = "./agent.sh"
    with running_up(tmp_path, arguments):
        wait_until(lambda: _shows_end(tmp_path, 1), description="the job has ended", timeout=60)
        wait_until(
            lambda: "Merge the branch" in str(issue_fields(tmp_path, 1)), description="it names the branch"
        )
        assert issue_fields(tmp_path, 1).get("state", "open") == "open"
        (branch,) = git("branch", "--list", "coalmine/*", "--format=%(refname:short)").split()
        assert branch in str(issue_fields(tmp_path, 1)["comments"])
        git("merge", "--quiet", "--no-ff", "--no-edit", branch)
        wait_until(
            lambda: issue_fields(tmp_path, 1).get("state") == "closed",
            description="the merge closes it",
            timeout=90,
        )


def _pages(folder: Path) -> str:
    """The address of the pages that `coalmine up` says."""
    found = re.search(r"Look at it in a browser: (http://\S+)", (folder / "up.log").read_text())
    assert found, (folder / "up.log").read_text()
    return found[1]


def _door(folder: Path) -> str | None:
    """The address that `coalmine up` says."""
    found = re.search(r"Webhooks are taken at (http://\S+)/webhook/", (folder / "up.log").read_text())
    return found[1] if found else None


@pytest.mark.long
def test_webhooks_are_taken_where_a_forge_could_send_some(tmp_path: Path) -> None:
    """A web process is started with the rest, says where it listens, and knows the forge's secret."""
    workplace(tmp_path)
    variables = {
        "COALMINE_FORGE__GITHUB__WEBHOOK_SECRET": "s3cr3t-0f-the-d00r",
        "COALMINE_FORGE__GITHUB__REPOSITORIES": "acme/shop",
    }
    with running_up(tmp_path, **variables) as process:
        wait_until(
            lambda: _door(tmp_path) or process.poll() is not None,
            description="the address is said",
            timeout=60,
        )
        address = _door(tmp_path)
        assert address, (tmp_path / "up.log").read_text()
        wait_until(lambda: _status(f"{address}/healthz") == 200, description="the door is open", timeout=60)
        assert _status(f"{address}/webhook/github", b"{}") == 401, "its secret is set"
        assert _status(f"{address}/webhook/gitea", b"{}") == 503, "and no other's"
    assert process.returncode == 0, (tmp_path / "up.log").read_text()
    assert _status(f"{address}/healthz") == 0, "it ends with the fleet"


def _status(address: str, body: bytes | None = None) -> int:
    """What is answered; 0 when nobody listens."""
    try:
        with httpx.Client(trust_env=False, timeout=10) as client:
            return (client.get(address) if body is None else client.post(address, content=body)).status_code
    except httpx.TransportError:
        return 0


def test_a_door_that_cannot_be_opened_starts_nothing(coalmine: CommandLine) -> None:
    """A port that another program has, or a door for all without a token; the store stays as it was."""
    workplace(coalmine.folder)
    arguments = ("up", "--repo", "shop", "--issues", "issues", "--agent", f"{coalmine.folder}/agent.sh")
    secret = {"COALMINE_FORGE__GITHUB__WEBHOOK_SECRET": "s3cr3t-0f-the-d00r"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = coalmine(*arguments, **secret, COALMINE_WEB__PORT=port)
        assert refused.exit_code == 5
        assert f"port {port} of 127.0.0.1 is in use" in refused.stderr
        assert "choose another with COALMINE_WEB__PORT" in refused.stderr
    refused = coalmine(*arguments, **secret, COALMINE_WEB__PUBLIC="on")
    assert refused.exit_code == 2
    assert "COALMINE_WEB__TOKEN" in refused.stderr
    assert coalmine.stored() == {}


def test_ci_that_is_not_there_starts_nothing(coalmine: CommandLine) -> None:
    """Where no work could ever be green the fleet says so at once, and leaves the store as it was."""
    workplace(coalmine.folder)
    folders = ("--repo", "shop", "--issues", "issues")
    agent = str(coalmine.folder / "agent.sh")
    refused = coalmine("up", *folders, "--ci", "./nowhere.sh", "--agent", agent)
    assert refused.exit_code == 2, refused.output
    assert "'./nowhere.sh' was not found" in refused.stderr
    assert coalmine.stored() == {}


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "./agent.sh",
            "where there is no such file; give the full path of a program (FOLDER/agent.sh), or commit",
        ),
        ("../agent.sh --fast", "a clone of main of SHOP, where there is no such file"),
        ("./check.txt", "a clone of main of SHOP, where it is a file that cannot be run"),
        ("/no/such/agent", "/no/such/agent, which cannot be run"),
    ],
)
def test_an_agent_that_is_not_there_starts_nothing(coalmine: CommandLine, agent: str, words: str) -> None:
    """A path is looked up as it will be in a work tree: what is beside the repository is not in it."""
    workplace(coalmine.folder)
    refused = coalmine("up", "--repo", "shop", "--issues", "issues", "--agent", agent)
    assert refused.exit_code == 2, refused.output
    shop = str(coalmine.folder / "shop")
    assert words.replace("SHOP", shop).replace("FOLDER", str(coalmine.folder)) in refused.stderr
    assert coalmine.stored() == {}


def test_a_path_with_a_space_is_refused_with_the_words_that_work(coalmine: CommandLine) -> None:
    """The agent is a command for a shell; what is proposed is one that a shell takes as it stands."""
    workplace(coalmine.folder)
    place = coalmine.folder / "my agents"
    place.mkdir()
    agent = shutil.copy(coalmine.folder / "agent.sh", place / "agent.sh")
    options = ("--repo", "shop", "--issues", "issues", "--agent")
    refused = coalmine("up", *options, str(agent))
    assert refused.exit_code == 2, refused.output
    (proposed,) = shlex.split(refused.stderr.strip().rpartition("quoted in it: ")[2])
    assert shlex.split(proposed) == [str(agent)]
    assert coalmine.stored() == {}


def test_a_fleet_without_a_source_of_issues_says_so(tmp_path: Path) -> None:
    """It waits in silence otherwise, and a kill switch that was left on looks like a fault."""
    workplace(tmp_path)
    log = tmp_path / "up.log"
    with running_up(tmp_path, COALMINE_KILL_SWITCH="true") as process:
        wait_until(
            lambda: NO_ISSUES in log.read_text() or process.poll() is not None,
            description="it was said that no forge is asked",
            timeout=60,
        )
        assert process.poll() is None, log.read_text()
