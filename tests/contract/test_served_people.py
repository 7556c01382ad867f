"""Who asked for agents, what a token may do, and what became of a commit, on forges over HTTP."""

from typing import Any

import pytest
from pydantic import SecretStr

from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.errors import ForgeRefusedError, ForgeUnreachableError
from routing.forges.forge import Deed
from routing.forges.rest import history
from routing.http.settings import HttpLimits
from tests.fakes.forge_world import OWN_LOGIN
from tests.servers.forge_server import GONE, Answer, AskedRequest
from tests.servers.served_forges import ServedForge
from tests.waiting import wait_until

BRANCH = "coalmine/0123456789abcdef"


def test_who_put_the_label_on_last_asked(served: ServedForge) -> None:
    """Not the author, not who put on another, and not who put it on before it was taken off."""
    issue = served.world.open_issue("Slow", "text", author="out")
    served.world.label(issue, "agent", "out")
    served.world.unlabel(issue, "agent", "ann")
    assert served.forge.requested_by(served.ref(issue), "agent") == ""
    served.world.label(issue, "agent", "coalmine")
    served.world.label(issue, "bug", "reader")
    assert served.forge.requested_by(served.ref(issue), "agent") == "coalmine"
    assert served.forge.requested_by(served.ref(issue), None) == "out"


def test_an_author_who_opens_with_the_label_asked(served: ServedForge) -> None:
    """Both forges note it as if it had been put on afterwards."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="reader")
    assert served.forge.requested_by(served.ref(issue), "agent") == "reader"


def test_a_label_that_nobody_is_seen_to_have_put_on_was_asked_for_by_nobody(served: ServedForge) -> None:
    """Deleting a label takes it off without a word, and renaming one puts it on without a word."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="ann")
    issue.labels.remove("agent")
    assert served.forge.requested_by(served.ref(issue), "agent") == ""
    issue.labels.append("agent")
    served.world.unlabel(issue, "agent")
    issue.labels.append("agent")
    assert served.forge.requested_by(served.ref(issue), "agent") == ""


def test_the_asker_is_found_on_the_last_page(served: ServedForge) -> None:
    """Gitea's total is that of the page; a client that uses it sees one page, and the wrong person."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="out")
    served.world.comment(issue.number, "ann", "Really?")
    for count in range(4):
        served.world.label(issue, f"area {count}", "ann")
    served.world.unlabel(issue, "agent", "ann")
    served.world.label(issue, "agent", "coalmine")
    assert served.forge.requested_by(served.ref(issue), "agent") == "coalmine"


def test_a_part_of_what_happened_names_nobody(served: ServedForge) -> None:
    """The newest may be on the page that was not read."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="out")
    for count in range(11):
        served.world.label(issue, f"area {count}", "ann")
    with pytest.raises(ForgeUnreachableError, match="max_pages"):
        served.forge.requested_by(served.ref(issue), "agent")


def test_labels_of_another_case(served: ServedForge) -> None:
    """On GitHub it is the same label; on Gitea it is another one, which nobody put on."""
    issue = served.world.open_issue("Slow", "text", labels=["Agent"], author="reader")
    expected = "reader" if served.kind == "github" else ""
    assert served.forge.requested_by(served.ref(issue), "agent") == expected


def test_who_made_the_newest_assignment_that_stands_asked(served: ServedForge) -> None:
    """Neither whom it was assigned to, nor who assigned somebody that was taken off again, nor ourselves."""
    issue = served.world.open_issue("Slow", "text", author="out")
    served.world.assign(issue, "coalmine", "reader")
    assert served.forge.requested_by(served.ref(issue), None) == "reader"
    served.world.assign(issue, "reader", "ann")
    assert served.forge.requested_by(served.ref(issue), None) == "ann"
    served.world.unassign(issue, "reader", "ann")
    assert served.forge.requested_by(served.ref(issue), None) == "reader"
    served.world.assign(issue, "ann", OWN_LOGIN)
    assert served.forge.requested_by(served.ref(issue), None) == "reader"
    served.world.unassign(issue, "coalmine", "ann")
    assert served.forge.requested_by(served.ref(issue), None) == "out"


def test_who_took_the_label_off_or_gave_it_to_others_is_remembered(served: ServedForge) -> None:
    """Nobody did once the label is on again; our own assignments do not count."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="out")
    forge, ref = served.forge, served.ref(issue)
    assert [forge.last_to(one, ref, "agent") for one in (Deed.UNLABEL, Deed.ASSIGN)] == ["", ""]
    served.world.unlabel(issue, "agent", "reader")
    served.world.assign(issue, "ann", "reader")
    served.world.assign(issue, "coalmine", OWN_LOGIN)
    assert [forge.last_to(one, ref, "agent") for one in (Deed.UNLABEL, Deed.ASSIGN)] == ["reader", "reader"]
    served.world.label(issue, "agent", "ann")
    served.world.unassign(issue, "ann", "ann")
    assert [forge.last_to(one, ref, "agent") for one in (Deed.UNLABEL, Deed.ASSIGN)] == ["", "ann"]
    assert forge.last_to(Deed.UNLABEL, ref, None) == ""


def test_who_closed_an_issue_or_a_request_is_remembered(served: ServedForge) -> None:
    """Nobody did once it was opened again."""
    issue, pull = served.world.open_issue("Slow", "text", author="out"), served.world.open_pull("main", "New")
    change = ChangeRequest(
        repo=served.world.repo, branch="main", head="h", base="main", number=pull.issue.number,
        state=ChangeState.OPEN,
    )  # fmt: skip
    for does, found in ((served.world.reopen, ""), (served.world.close, "ann"), (served.world.reopen, "")):
        does(issue, "ann")
        does(pull.issue, "ann")
        assert served.forge.last_to(Deed.CLOSE, served.ref(issue), None) == found
        assert served.forge.last_to_drop(change) == found


def test_who_is_forgotten_is_nobody(served: ServedForge) -> None:
    """An account that was deleted has no name, or one that is trusted with nothing."""
    issue = served.world.open_issue("Slow", "text", author="ann")
    served.world.label(issue, "agent", "")
    who = served.forge.requested_by(served.ref(issue), "agent")
    assert not served.forge.permission(served.world.repo, who).can_write


def test_a_gitea_without_a_time_line_cannot_tell(served: ServedForge) -> None:
    """Before 1.17 there is none: then the author is known, and nobody else."""
    if served.kind != "gitea":
        return  # GitHub always had its events
    issue = served.world.open_issue("Slow", "text", labels=["agent"], author="reader")
    served.server.after = lambda asked: (
        served.server.next.append(GONE) if asked.path.endswith(f"/issues/{issue.number}") else None
    )
    assert served.forge.requested_by(served.ref(issue), "agent") == ""
    assert served.forge.requested_by(served.ref(issue), None) == "reader"
    served.world.assign(issue, "coalmine", "ann")
    assert served.forge.requested_by(served.ref(issue), None) == ""


def test_our_name_is_asked_once_or_configured(served: ServedForge) -> None:
    """GitHub Apps do not learn whose token it is."""
    assert served.forge.own_login() == served.forge.own_login() == OWN_LOGIN
    assert [one.path for one in served.server.asked] == ["/user"]
    app = served.with_settings(login="coalmine[bot]")
    assert app.own_login() == "coalmine[bot]"
    assert len(served.server.asked) == 1
    app.close_connections()


@pytest.mark.parametrize(
    ("rights", "archived", "writable"),
    [("admin", False, True), ("write", False, True), ("read", False, False), ("admin", True, False)],
)
def test_access_is_what_the_user_may_do(
    served: ServedForge, rights: str, *, archived: bool, writable: bool
) -> None:
    """Writing takes the right to push, in a repository that is not archived; what lacks is said."""
    served.world.users[OWN_LOGIN] = rights
    served.world.archived = archived
    access = served.forge.access(served.world.repo)
    assert (access.readable, access.writable) == (True, writable), access.note
    assert ("may not write" in access.note) is (rights == "read")
    assert ("archived" in access.note) is archived
    first = access.note.partition(";")[0]
    assert writable or "may not write" in first or "archived" in first, "what lacks is said first"
    if served.kind == "gitea":
        assert ("administrator" in access.note) is (rights != "admin")
    assert access.knows_people is (served.kind != "gitea" or rights == "admin")


def test_a_repository_without_issues_is_not_written(served: ServedForge) -> None:
    """They may be switched off; that is said."""
    served.world.has_issues = False
    access = served.forge.access(served.world.repo)
    assert (access.readable, access.writable) == (True, False)
    assert "switched off" in access.note


def test_access_to_the_issues_is_asked_too(served: ServedForge) -> None:
    """A token may see a repository and not its issues; one that is not valid at all is an error."""
    refused = Answer(status=403, value={"message": "Resource not accessible by personal access token"})
    paths = {f"/repos/{served.world.repo}", f"/projects/{served.world.repo}"}
    served.server.after = lambda asked: served.server.next.append(refused) if asked.path in paths else None
    access = served.forge.access(served.world.repo)
    assert (access.readable, access.writable) == (False, False)
    assert "not accessible" in access.note
    stranger = served.with_settings(token=SecretStr("wr0ng"))
    with pytest.raises(ForgeRefusedError):
        stranger.access(served.world.repo)
    stranger.close_connections()


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.22.3", "version 1.22.3"),
        ("9.0.3+gitea-1.22.0", "version 9.0.3"),
        ("1.14.2", "older than 1.20"),
        ("8.0.1+gitea-1.16.0", "older than 1.20"),
        ("next", "not known"),
    ],
)
def test_the_version_is_said(served: ServedForge, version: str, said: str) -> None:
    """A Gitea that is too old is named so, by the version that a Forgejo descends from."""
    served.world.version = version
    served.world.api_versions = ["2022-11-28", "2026-03-10"]
    note = served.forge.access(served.world.repo).note
    assert (said if served.kind == "gitea" else "API of 2022-11-28") in note
    assert ("older" in note) is (served.kind == "gitea" and "older" in said)
    served.world.api_versions = ["2026-03-10"]
    assert ("any more" in served.forge.access(served.world.repo).note) is (served.kind == "github")


def test_main_is_searched_where_it_cannot_be_compared(served: ServedForge) -> None:
    """An older Gitea has no such path; more commits than are read give no answer."""
    if served.kind != "gitea":
        return  # GitHub always could
    head = served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="")
    served.server.after = lambda asked: (
        served.server.next.append(GONE) if "/git/commits/" in asked.path else None
    )
    assert not served.forge.contains(served.world.repo, head)
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    assert served.forge.contains(served.world.repo, head)
    for count in range(12):
        served.world.commit_on_main(f"Other work {count}")
    with pytest.raises(ForgeUnreachableError, match="max_pages"):
        served.forge.contains(served.world.repo, head)


def test_each_failing_check_has_its_share_of_the_log(served: ServedForge) -> None:
    """Green checks and our own are left out; each failing one is named, with its line and its address."""
    head = served.world.repository.tip()
    served.world.say(
        head, "ci/a", "failure", description="\x1b[31m3 tests\x1b[0m failed", url="https://ci.test/1"
    )
    served.world.say(head, "ci/b", "success", description="fine")
    served.world.say(head, "ci/c", "error", description="no machine")
    served.world.say(head, "coalmine/progress", "failure", description="ours")
    status = served.forge.statuses(served.world.repo, head)
    assert status.failing == ("ci/a", "ci/c")
    log = served.forge.failing_log(served.world.repo, head, most_characters=1000)
    assert log == "ci/a: 3 tests failed\nhttps://ci.test/1\n\nci/c: no machine"


def test_check_runs_say_what_failed(served: ServedForge) -> None:
    """Their text by its end, and what they noted at lines of files; notes that cannot be had lack."""
    if served.kind != "github":
        return  # Gitea's own runs report as statuses, without a log
    head = served.world.repository.tip()
    note: dict[str, Any] = {
        "path": "cart.py", "start_line": 7, "annotation_level": "failure", "message": "total is None",
        "raw_details": None,
    }  # fmt: skip
    mild = {**note, "annotation_level": "warning", "message": "unused"}
    served.world.run_check(head, "good", "success", text="all fine")
    served.world.run_check(head, "bad", "failure", text="x" * 5000 + "the end", notes=[mild, note])
    log = served.forge.failing_log(served.world.repo, head, most_characters=300)
    assert log.startswith("github-actions/bad: failure\n")
    assert log.endswith("xxxthe end\ncart.py:7: total is None")
    assert len(log) == 300
    assert "unused" not in log
    assert "fine" not in log
    listed: list[str] = []

    def lose_the_notes(asked: AskedRequest) -> None:
        """The runs did not change, and are read whole then: what comes after is lost."""
        listed.extend([asked.path] if asked.path.endswith("/check-runs") else [])
        if len(listed) == 2:
            served.server.next.append(GONE)
            listed.clear()

    served.server.after = lose_the_notes
    assert served.forge.failing_log(served.world.repo, head, most_characters=300).endswith("the end")


def test_a_log_is_not_made_of_a_part_of_the_checks(served: ServedForge) -> None:
    """What is incomplete is not an answer, here as for the verdict."""
    head = served.world.repository.tip()
    for count in range(3):
        served.world.say(head, f"ci/{count}", "failure")
    part = served.with_settings(limits=HttpLimits(page_size=1, max_pages=2, attempts=1))
    with pytest.raises(ForgeUnreachableError):
        part.failing_log(served.world.repo, head, most_characters=100)
    part.close_connections()


def test_many_failing_checks_find_room(served: ServedForge) -> None:
    """The first ones are shown, as many as can say something, and together they are no longer than asked."""
    head = served.world.repository.tip()
    for count in range(9):
        served.world.say(head, f"ci/{count}", "failure", description="word " * 100)
    log = served.forge.failing_log(served.world.repo, head, most_characters=700)
    assert len(log) <= 700
    assert [line[:4] for line in log.split("\n\n")] == ["ci/0", "ci/1", "ci/2"]


def test_a_closed_request_says_nothing_while_its_main_branch_is_fetched(
    served: ServedForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closed it may have landed its work by another way, which only the branch shows."""
    world, forge = served.world, served.forge
    world.repository.work(BRANCH, {"new.txt": "new\n"})
    forge.open_change(world.repo, BRANCH, title="New", body="")
    world.commit_on_main("Another change")
    world.pull_of(BRANCH).issue.state = "closed"
    with monkeypatch.context() as impatient:
        impatient.setattr(history, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(ForgeUnreachableError, match="is being fetched"):
            forge.change_of_branch(world.repo, BRANCH)

    def state() -> ChangeState:
        change = forge.change_of_branch(world.repo, BRANCH)
        assert change is not None
        return change.state

    assert wait_until(state, description="it is known") is ChangeState.CLOSED
