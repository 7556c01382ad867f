"""`coalmine issue …`: what is known of issues, and what people decide about them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routing.backlog.backlog import Backlog
from routing.backlog.refusal import Gate, Refusal
from routing.issues.issue import IssueProblem, IssueRef
from routing.jobs.admission import WAITS
from routing.jobs.job import JobRequest
from routing.templates.version import Snapshot
from tasks.composition.forge_parts import ForgeParts
from tests.fakes.issues import issue
from tests.programs.command_line import CommandLine

SHOP, TOOL = "github:acme/shop", "gitea:acme/tool"


def named(name: str) -> IssueRef:
    """`github:acme/shop#3`."""
    return IssueRef.parse(name)


@pytest.fixture
def backlog(coalmine: CommandLine) -> Any:
    """The backlog by the command line."""
    with coalmine.coalmine() as parts:
        yield ForgeParts(coalmine=parts, run_ci=lambda _commit: None, given={}).backlog


Take = Callable[..., IssueRef]


@pytest.fixture
def take(backlog: Backlog) -> Take:
    """Takes an issue in, as a poll does."""

    def step(name: str, body: str = "", **fields: Any) -> IssueRef:
        backlog.accept(issue(1, body, **{"ref": named(name)} | fields), requested_by="ada")
        return named(name)

    return step


def listed(coalmine: CommandLine, *arguments: str) -> list[str]:
    """The issues of a list."""
    return [each["issue"] for each in coalmine.document("issue", "list", *arguments)["issues"]]


def test_ready_issues_are_listed_in_the_order_of_dispatch(coalmine: CommandLine, take: Take) -> None:
    """Over all repositories: priority, then number; what waits comes after them."""
    for name, labels in (
        (f"{SHOP}#2", ()),
        (f"{SHOP}#10", ("P0",)),
        (f"{TOOL}#1", ()),
        (f"{TOOL}#9", ("P0",)),
    ):
        take(name, labels=labels)
    take(f"{SHOP}#1", "Blocked by: #2")
    assert listed(coalmine) == [f"{TOOL}#9", f"{SHOP}#10", f"{TOOL}#1", f"{SHOP}#2", f"{SHOP}#1"]
    shown = coalmine.shown("issue", "list")
    assert f"waits for {SHOP}#2 (ready)" in shown
    assert "5 shown of 4 ready, 1 blocked" in shown


def test_list_filters_by_state_forge_and_repository(coalmine: CommandLine, take: Take) -> None:
    """Filters add up; a limit says that there is more."""
    for name in (f"{SHOP}#1", f"{SHOP}#2", f"{TOOL}#1", "github:acme/shop-b#1"):
        take(name)
    take(f"{SHOP}#3", "Blocked by: #1")
    assert listed(coalmine, "--forge", "gitea") == [f"{TOOL}#1"]
    assert listed(coalmine, "--repository", SHOP) == [f"{SHOP}#1", f"{SHOP}#2", f"{SHOP}#3"]
    assert listed(coalmine, "--repository", "acme/shop", "--state", "blocked") == [f"{SHOP}#3"]
    assert listed(coalmine, "--forge", "github", "--repository", "acme/tool") == []
    document = coalmine.document("issue", "list", "--repository", SHOP, "--limit", "1")
    assert (len(document["issues"]), document["complete"], document["counts"]["ready"]) == (1, False, 2)
    assert coalmine.document("issue", "list")["complete"] is True


def test_a_shut_gate_is_shown(coalmine: CommandLine, take: Take, backlog: Backlog) -> None:
    """In the list as the reason, and on its own with what the gate looked at, and what would open it."""
    ref = take(f"{SHOP}#1")
    reason = "bob asked for it, who may not write in github:acme/shop"
    inputs = {"requested_by": "bob", "permission": "read"}
    backlog.refuse(Refusal(issue=str(ref), gate=Gate.UNTRUSTED, reason=reason, inputs=inputs))
    assert f"untrusted: {reason}" in coalmine.shown("issue", "list")
    assert coalmine.document("issue", "show", str(ref))["refusal"] == {
        "gate": "untrusted", "reason": reason, "inputs": inputs,
    }  # fmt: skip
    shown = coalmine("issue", "show", str(ref))
    assert "permission" in shown.stdout
    assert "a person who may write in the repository must take its label off" in shown.stderr


def test_show_says_what_an_issue_waits_for(coalmine: CommandLine, take: Take) -> None:
    """Both sides of its edges with their states, its cycle, and where each part of the metadata is from."""
    take(f"{SHOP}#1", "Blocked by: #2, #7\n\n## Difficulty\nhard\n", labels=("P1",))
    take(f"{SHOP}#2", "Blocked by: #1")
    take(f"{SHOP}#3", "Blocked by: #1")
    found = coalmine.document("issue", "show", f"{SHOP}#1")
    assert {each["issue"]: each["state"] for each in found["blockers"]} == {
        f"{SHOP}#2": "blocked", f"{SHOP}#7": "its forge was not asked yet",
    }  # fmt: skip
    assert [each["issue"] for each in found["dependents"]] == [f"{SHOP}#2", f"{SHOP}#3"]
    assert found["cycle"] == [f"{SHOP}#1", f"{SHOP}#2"]
    assert found["requested_by"] == "ada"
    assert found["metadata"]["difficulty"] == {"value": "hard", "source": "body"}
    assert found["metadata"]["priority"] == {"value": 1, "source": "labels"}
    assert found["metadata"]["assigned_agent"]["source"] == "default"
    assert "backlog.cycle" in {event["kind"] for event in found["events"]}
    shown = coalmine.shown("issue", "show", f"{SHOP}#1")
    assert "Waited for by" in shown
    assert "in a cycle of dependencies" in shown


def test_an_issue_is_given_a_priority(coalmine: CommandLine, take: Take) -> None:
    """It is first then, whatever its labels say; `labels` takes that back, and a third word is refused."""
    take(f"{SHOP}#1", labels=("agent", "P1"))
    take(f"{SHOP}#2", labels=("agent", "P8"))
    urgent = coalmine.document("issue", "priority", f"{SHOP}#2", "0", "--by", "ada")
    assert (urgent["priority"], urgent["changed"]) == (0, True)
    assert listed(coalmine) == [f"{SHOP}#2", f"{SHOP}#1"]
    assert "has priority 0 already" in coalmine("issue", "priority", f"{SHOP}#2", "0").stdout
    assert (
        "has priority 8 now, as the issue says" in coalmine("issue", "priority", f"{SHOP}#2", "labels").stdout
    )
    refused = coalmine("issue", "priority", f"{SHOP}#2", "soon")
    assert (refused.exit_code, "'soon' is not a priority" in refused.stderr) == (2, True)
    assert listed(coalmine) == [f"{SHOP}#1", f"{SHOP}#2"]


def test_paused_issue_stays_out_whatever_the_forge_shows(
    coalmine: CommandLine, take: Take, backlog: Backlog
) -> None:
    """It is open and labelled, edited and looked at again; a person resumes it."""
    ref = take(f"{SHOP}#1")
    paused = coalmine.document("issue", "pause", str(ref), "--by", "ada")
    assert (paused["state"], paused["paused"], paused["changed"]) == ("cancelled", True, True)
    assert paused["reason"] == "paused by ada"
    take(f"{SHOP}#1")
    take(f"{SHOP}#1", "another text", labels=("agent", "P0"))
    assert listed(coalmine) == []
    assert listed(coalmine, "--state", "cancelled") == [str(ref)]
    assert "0 shown of 1 cancelled\n`--state STATE` lists" in coalmine.shown("issue", "list")
    assert f"`coalmine issue resume {ref}`" in coalmine("issue", "show", str(ref)).stderr
    again = coalmine("issue", "pause", str(ref), "--by", "bob")
    assert (again.exit_code, "was paused already: paused by ada" in again.stdout) == (0, True)
    resumed = coalmine.document("issue", "resume", str(ref))
    assert (resumed["state"], resumed["changed"]) == ("ready", True)
    assert coalmine.document("issue", "resume", str(ref))["changed"] is False
    assert [item.ref for items in backlog.ready().values() for item in items] == [ref]


def test_pausing_what_is_worked_on_names_the_job(coalmine: CommandLine, take: Take, backlog: Backlog) -> None:
    """The job goes on, with its slot; the command says how to end it, and what happens afterwards."""
    ref, job = take(f"{SHOP}#1"), "4f1d0c2ab39e8876"
    backlog.attach(ref, job, fence=backlog.start(ref, per_repo=1))
    result = coalmine("issue", "pause", str(ref), "--by", "ada")
    assert result.exit_code == 0
    assert "leaves the queue when its job ends (paused by ada)" in result.stdout
    assert f"`coalmine job cancel {job}`" in result.stderr
    assert f"coalmine job show {job}" in coalmine.shown("issue", "show", str(ref))
    assert coalmine.document("issue", "list")["issues"][0]["job"] == job
    backlog.escalate(ref, reason="nothing was pushed", job=job)
    found = coalmine.document("issue", "show", str(ref))
    assert (found["state"], found["paused"], found["pausing"]) == ("cancelled", True, None)
    back = coalmine("issue", "resume", str(ref))
    assert "ready-for-human" in back.stderr
    assert f"{ref} is ready" in back.stdout


def test_an_issue_that_waits_for_a_person_is_resumed(
    coalmine: CommandLine, take: Take, backlog: Backlog
) -> None:
    """It goes back to where its blockers let it; the label that keeps it there is named."""
    ref = take(f"{SHOP}#1")
    backlog.freeze(ref, reason="CI stayed red")
    assert listed(coalmine, "--state", "frozen") == [str(ref)]
    assert "take the label ready-for-human off" in coalmine("issue", "show", str(ref)).stderr
    resumed = coalmine("issue", "resume", str(ref))
    assert "is ready: " not in resumed.stdout
    assert "if the issue has the label ready-for-human, take it off" in resumed.stderr
    assert listed(coalmine, "--state", "ready") == [str(ref)]


def test_what_left_by_itself_is_not_resumed(coalmine: CommandLine, take: Take, backlog: Backlog) -> None:
    """A person repairs the reason on the forge; the next look would take it out again."""
    ref = take(f"{SHOP}#1")
    backlog.withdraw(ref, "without the label coalmine")
    result = coalmine("issue", "resume", str(ref))
    assert result.exit_code == 4
    assert "without the label coalmine" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "7"], 2, "FORGE:REPOSITORY#NUMBER"),
        (["show", "github:../x#1"], 2, "is not an issue"),
        (["show", "github:acme/shop#0"], 2, "is not an issue"),
        (["show", f"{SHOP}#1"], 3, "not in the backlog"),
        (["pause", f"{SHOP}#1"], 3, "not in the backlog"),
        (["pause", "shop"], 2, "is not an issue"),
        (["pause", f"{SHOP}#1", "--by", "a\x1b[2J"], 2, "printable"),
        (["pause", f"{SHOP}#1", "--by", "a" * 101], 2, "at most 100"),
        (["resume", f"{SHOP}#1", "--by", " "], 2, "printable"),
        (["resume", f"{SHOP}#1"], 3, "not in the backlog"),
        (["list", "--state", "paused"], 2, "paused"),
        (["list", "--forge", "bitbucket"], 3, "no forge is called 'bitbucket'"),
        (["list", "--forge", "gitea", "--repository", SHOP], 2, "two forges"),
        (["list", "--repository", "a b"], 2, "is not the name of a repository"),
        (["list", "--limit", "0"], 2, "limit"),
        (["poll", "bitbucket"], 3, "no forge is called 'bitbucket'"),
        (["poll", "github"], 4, "kill switch"),
    ],
)
def test_errors_write_nothing(coalmine: CommandLine, arguments: list[str], code: int, message: str) -> None:
    """One line on standard error, and the exit code of its kind."""
    result = coalmine("issue", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert coalmine.stored() == {}


def test_poll_sends_for_the_tick(coalmine: CommandLine) -> None:
    """One message for the workers of the queue `control`."""
    folder = str(coalmine.folder)
    variables = {"COALMINE_FORGE__LOCAL__REPOSITORY": folder, "COALMINE_FORGE__LOCAL__ISSUES": folder}
    assert coalmine.document("issue", "poll", "local", **variables) == {"forge": "local", "asked": True}
    with coalmine.coalmine() as parts:
        assert parts.publisher.depth("control") == 1


def test_reasons_are_said_in_words(coalmine: CommandLine, take: Take, backlog: Backlog) -> None:
    """What is worked on, what a label leaves to people, and what is completed when nothing else is left."""
    ref = take(f"{SHOP}#1")
    shown = coalmine.shown("issue", "list", "--state", "blocked")
    assert "There is no such issue." in shown
    assert "`coalmine doctor`" in shown
    backlog.start(ref, per_repo=1)
    assert "its job is queued or at work" in coalmine.shown("issue", "list")
    backlog.complete(ref, reason="merged")
    assert "1 completed: `coalmine issue list --state completed` lists" in coalmine.shown("issue", "list")
    take(f"{SHOP}#2", labels=("agent", "Ready-for-Human"))
    assert "it carries the label ready-for-human" in coalmine.shown("issue", "list")


def test_a_job_that_is_held_gives_its_issue_the_reason(
    coalmine: CommandLine, take: Take, backlog: Backlog
) -> None:
    """A budget holds jobs: the list of issues says so, and not that an agent may be at work."""
    ref = take(f"{SHOP}#1")
    fence = backlog.start(ref, per_repo=1)
    with coalmine.coalmine() as parts:
        parts.templates.add("implementer", Snapshot(runtime="claude"))
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="do")).job
        backlog.attach(ref, job, fence=fence)
        parts.redis.hset(parts.keys.job(job), "reason", WAITS["day"])
    shown = coalmine.shown("issue", "list")
    assert WAITS["day"] in shown
    assert "its job is queued or at work" not in shown


def test_titles_are_shown_without_control_characters(coalmine: CommandLine, take: Take) -> None:
    """What strangers write does not move the cursor, and is not markup."""
    ref = take(f"{SHOP}#1", title="a\x1b[2Jb [red]c[/red]")
    for shown in (coalmine.shown("issue", "list"), coalmine.shown("issue", "show", str(ref))):
        assert "\x1b" not in shown
        assert "ab [red]c[/red]" in shown


def test_what_was_not_taken_in_is_shown_with_its_reason(coalmine: CommandLine, tmp_path: Path) -> None:
    """By the list, for the places that it is about, and by `doctor`."""
    (tmp_path / "coalmine.toml").write_text(
        '[[forge]]\nkind = "github"\ntoken = "t"\nrepositories = ["acme/shop", "acme/shop-b"]\n'
    )
    file = ("--config", str(tmp_path / "coalmine.toml"))
    with coalmine.coalmine() as parts:
        problem = IssueProblem(where="7.md", message="its front matter is not YAML")
        ForgeParts(coalmine=parts, run_ci=lambda _commit: None, given={}).problems.note(SHOP, [problem])
    named = [{"repository": SHOP, "where": "7.md", "message": "its front matter is not YAML"}]
    for options in ([], ["--repository", SHOP], ["--forge", "github"]):
        assert coalmine.document(*file, "issue", "list", *options)["problems"] == named
    assert coalmine.document(*file, "issue", "list", "--repository", f"{SHOP}-b")["problems"] == []
    assert "its front matter is not YAML" in coalmine.shown(*file, "issue", "list")
    findings = json.loads(coalmine(*file, "doctor", "--wait", "0.1", "--json").stdout)["findings"]
    (found,) = [one for one in findings if one["check"] == "issues"]
    assert (found["status"], f"{SHOP}: 7.md" in found["message"]) == ("warning", True)


def test_another_repository_is_accepted(coalmine: CommandLine, tmp_path: Path) -> None:
    """What was known of the name is forgotten, once; a place that is not served is refused."""
    (tmp_path / "coalmine.toml").write_text(
        '[[forge]]\nkind = "github"\ntoken = "t"\nrepositories = ["acme/shop"]\n'
    )
    file = ("--config", str(tmp_path / "coalmine.toml"))
    with coalmine.coalmine() as parts:
        parts.repository_ids.keep("github", "https://api.github.com", "acme/shop", 17)
        for changed in (True, False):
            said = coalmine.document(*file, "issue", "accept", "github:Acme/Shop", "--by", "ada")
            assert said == {"repository": "github:Acme/Shop", "changed": changed}
        assert [(one.act, one.by) for one in parts.decisions.newest(9)] == [("issue accept", "ada")]
    refused = coalmine(*file, "issue", "accept", "gitea:acme/tool")
    assert (refused.exit_code != 0, "github:acme/shop" in refused.stderr) == (True, True)
