"""What GitLab alone has: nested and renamed projects, commands in texts, pipelines, roles, threads."""

import re
from typing import Any

import pytest
from pydantic import SecretStr

from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.commit_status import CiReason, CiVerdict, read_ci
from routing.forges.errors import (
    ForgeInvalidError,
    ForgeMovedError,
    ForgeOutdatedError,
    ForgeQueuedError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.forge import Permission
from routing.forges.gitlab.kind import GITLAB, GitLabConfig
from routing.issues.issue import IssueRef
from tests.fakes.forge_world import OWN_LOGIN
from tests.servers.forge_server import Answer, AskedRequest
from tests.servers.gitlab_server import PROJECT
from tests.servers.served_forges import ServedForge

pytestmark = pytest.mark.parametrize("served", ["gitlab"], indirect=True)

BRANCH = "coalmine/0123456789abcdef"


@pytest.fixture
def change(served: ServedForge) -> ChangeRequest:
    """An open request of ours, which CI has passed."""
    head = served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    served.world.say(head, "ci/build", "success")
    return served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="")


def instead(served: ServedForge, path: str, answer: Answer, method: str = "GET") -> None:
    """Another answer of the server to one kind of request."""
    (pattern,) = (one for one in served.server.routes if one.fullmatch(f"{method} /projects/{PROJECT}{path}"))
    served.server.routes[pattern] = lambda _asked, _found: answer


def test_a_project_within_groups_has_one_name(served: ServedForge) -> None:
    """Of all its groups, in settings, issues and paths; git finds it, too."""
    served.world.repo = "acme/tools/deep/shop"
    issue = served.world.open_issue("Slow", "text", labels=["agent"])
    (found,) = served.forge.list_issues("acme/tools/deep/shop", "agent").issues
    assert str(found.ref) == f"gitlab:acme/tools/deep/shop#{issue.number}"
    assert "/projects/acme%2Ftools%2Fdeep%2Fshop" in [one.quoted_path for one in served.server.asked]
    names = ("acme/tools/*", "!acme/tools/old", "acme/tools/deep/shop")
    config = GitLabConfig(token=SecretStr("t"), repositories=names)
    assert config.served.spelled("ACME/Tools/till") == "ACME/Tools/till"
    assert config.served.spelled("acme/tools/old") is config.served.spelled("acme/till") is None
    assert (
        GITLAB.remote(config, "acme/tools/deep/shop").address == "https://gitlab.com/acme/tools/deep/shop.git"
    )


def test_projects_of_a_user_are_paged_by_their_ids(served: ServedForge) -> None:
    """So one that goes while they are listed hides no other; no page has a number."""
    there = [{"id": 30 + one, "path_with_namespace": f"ann/p{one}", "archived": False} for one in range(5)]
    (pattern,) = (one for one in served.server.routes if one.fullmatch("GET /users/ann/projects"))

    def page(_asked: AskedRequest, _found: object) -> Answer:
        now = list(there)
        del there[:1]  # those who ask for the next page no longer find the first of this one
        return Answer(value=now, paged="keyset")

    served.server.routes[pattern] = page
    assert served.forge.repositories_of("ann") == tuple(f"ann/p{one}" for one in range(5))
    asked = [one.query for one in served.server.asked if one.path == "/users/ann/projects"]
    assert [one.get("id_after") for one in asked] == [None, "31", "33", "34"]
    assert {(one["pagination"], one["order_by"], one.get("page")) for one in asked} == {
        ("keyset", "id", None)
    }


def test_a_renamed_project_is_followed_for_reading_and_writing(served: ServedForge) -> None:
    """GitLab leads from the old name to the number, for reading alone."""
    issue = served.world.open_issue("Slow", "text")
    served.world.repo, served.world.former_names = "acme/store", ["acme/shop"]
    ref = IssueRef(forge="gitlab", repo="acme/shop", number=issue.number)
    assert served.forge.read_issue(ref).ref == ref
    served.forge.add_label(ref, "agent")
    served.forge.close(ref)
    assert (issue.labels, issue.state) == (["agent"], "closed")


@pytest.mark.parametrize(
    ("words", "state"), [("moved to acme/till#4", "closed"), ("moved to hidden#4", "open")]
)
def test_an_issue_that_was_moved_says_what_became_of_it(served: ServedForge, words: str, state: str) -> None:
    """As far as the token sees where it went: a blocker that was moved and closed blocks nothing."""
    issue = served.world.open_issue("Slow", "text")
    ref = served.ref(issue)
    instead(served, f"/issues/{issue.number}", Answer(value=_issue(iid=issue.number, moved_to_id=9)))
    note = {"id": 1, "body": words, "system": True, "created_at": "2026-01-01T00:00:00Z"}
    instead(served, f"/issues/{issue.number}/notes", Answer(value=[note]))
    there = Answer(value={"id": 30, "path_with_namespace": "acme/till"})
    served.server.routes = {
        **_route(r"GET /projects/acme/till", there),
        **_route(r"GET /projects/30/issues/4", Answer(value=_issue(iid=4, state="closed"))),
        **served.server.routes,
    }
    with pytest.raises(ForgeMovedError) as moved:
        served.forge.read_issue(ref)
    assert moved.value.state == state


def _issue(**changes: Any) -> dict[str, Any]:
    return {"title": "Slow", "state": "opened", "updated_at": "2026-01-01T00:00:00Z", **changes}


def _route(pattern: str, answer: Answer) -> dict[Any, Any]:
    return {re.compile(pattern): lambda _asked, _found: answer}


def test_no_text_of_an_agent_is_a_command(served: ServedForge) -> None:
    """GitLab carries out lines that begin with a slash, with our rights; ours are read alone."""
    issue = served.world.open_issue("Slow", "text")
    ref, text = served.ref(issue), "On it.\n/close\n  /label ~done\n```\n/merge\n```\na /path"
    written = served.forge.comment(ref, text)
    served.forge.edit_comment(ref, written.id, text)
    served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = served.forge.open_change(
        served.world.repo, BRANCH, title="Draft: [Draft] wip: Fast", body="/close"
    )
    served.world.comment(change.number or 0, "ann", f"@{OWN_LOGIN} quicker")
    (given,) = served.forge.feedback(change)
    served.forge.answer(change, given, "/close")
    assert (issue.state, served.world.pull_of(BRANCH).issue.state) == ("open", "open")
    assert served.world.comments[written.id].body.splitlines()[1:3] == ["\\/close", "  \\/label ~done"]
    assert served.world.pull_of(BRANCH).issue.title == "Fast"


def test_who_has_an_issue_keeps_it_where_one_assignee_is_the_most(served: ServedForge) -> None:
    """A GitLab without a paid plan keeps the first of the list."""
    issue = served.world.open_issue("Slow", "text")
    served.world.assign(issue, "ann")
    instead(
        served, f"/issues/{issue.number}", Answer(value=_issue(iid=1, assignees=[{"username": "ann"}])), "PUT"
    )
    with pytest.raises(ForgeInvalidError, match="cannot be assigned"):
        served.forge.assign(served.ref(issue), "coalmine")
    (sent,) = (one.body for one in served.server.asked if one.method == "PUT")
    assert sent == {"assignee_ids": [102, 101]}


def test_merely_related_issues_block_nothing(served: ServedForge) -> None:
    """The kind of the link decides."""
    first, other = served.world.open_issue("First", "text"), served.world.open_issue("Other", "text")
    issue = served.world.open_issue("Then", "text", blocked_by=[first.number])
    assert served.forge.dependencies(served.ref(issue)) == (served.ref(first),)
    assert served.forge.dependencies(served.ref(other)) == ()


def test_a_label_that_was_renamed_was_put_on_by_nobody(served: ServedForge) -> None:
    """A label event has the label's name of now: who renames `later` would ask in the name of others."""
    issue = served.world.open_issue("Slow", "text", labels=["later"], author="out")
    served.world.rename_label("later", "agent")
    assert served.forge.requested_by(served.ref(issue), "agent") == ""
    served.world.unlabel(issue, "agent", "ann")
    served.world.label_changes["agent"] = "2024-01-01T00:00:00Z"
    served.world.label(issue, "agent", "ann")
    assert served.forge.requested_by(served.ref(issue), "agent") == "ann"


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"issue": None}},
        {"data": None, "errors": [{"message": "no"}]},
        {"data": {"issue": {"labels": {"nodes": [None]}}}},
    ],
)
def test_a_label_whose_times_are_not_shown_was_put_on_by_nobody(
    served: ServedForge, answer: dict[str, Any]
) -> None:
    """It may have been renamed."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"])
    served.server.routes |= _route("POST /api/graphql", Answer(value=answer))
    assert served.forge.requested_by(served.ref(issue), "agent") == ""


@pytest.mark.parametrize(
    ("member", "user", "permission"),
    [
        ({"access_level": 30}, {}, Permission.WRITE),
        ({"access_level": 25}, {}, Permission.READ),
        ({"access_level": 50}, {}, Permission.ADMIN),
        ({"access_level": 30, "state": "awaiting"}, {}, Permission.NONE),
        ({"access_level": 30}, {"state": "blocked"}, Permission.NONE),
    ],
)
def test_roles_decide_who_may_write(
    served: ServedForge, member: dict[str, Any], user: dict[str, Any], permission: Permission
) -> None:
    """From Developers on; not who is blocked, or whose membership is not approved yet."""
    instead(served, "/members/all/102", Answer(value=member))
    (users,) = (one for one in served.server.routes if one.fullmatch("GET /users"))
    served.server.routes[users] = lambda _asked, _found: Answer(value=[{"id": 102, "username": "ann"} | user])
    assert served.forge.permission(served.world.repo, "ann") is permission


def test_a_role_that_a_shared_group_gives_is_asked_for(served: ServedForge) -> None:
    """The project shows no role of ours then."""
    project = {
        "id": PROJECT,
        "path_with_namespace": served.world.repo,
        "permissions": {"project_access": None},
    }
    (pattern,) = (one for one in served.server.routes if one.fullmatch("GET /projects/acme/shop"))
    served.server.routes[pattern] = lambda _asked, _found: Answer(value=project)
    assert served.forge.access(served.world.repo).writable
    served.world.users[OWN_LOGIN] = "read"
    assert not served.forge.access(served.world.repo).writable


def test_the_version_is_said_where_it_is_shown(served: ServedForge) -> None:
    """An old one is named so; a token may not be allowed to ask."""
    for version, said in (
        ("17.5.1-ee", "version 17.5.1-ee"),
        ("16.6.0", "older than 16.7"),
        ("x", "not known"),
    ):
        served.world.version = version
        assert said in served.forge.access(served.world.repo).note
    (pattern,) = (one for one in served.server.routes if one.fullmatch("GET /version"))
    served.server.routes[pattern] = lambda _asked, _found: Answer(
        status=403, value={"message": "403 Forbidden"}
    )
    assert "does not show its version" in served.forge.access(served.world.repo).note


def jobs(served: ServedForge, *listed: dict[str, Any], pipelines: tuple[dict[str, Any], ...] = ()) -> Any:
    """What is concluded of these jobs of the newest commit."""
    tip = served.world.repository.tip()
    given = [
        {"id": count, "name": f"job {count}", "created_at": "2026-01-01T00:00:00Z", "pipeline_id": 1, **one}
        for count, one in enumerate(listed)
    ]
    instead(served, f"/repository/commits/{tip}/statuses", Answer(value=given))
    instead(
        served, "/pipelines", Answer(value=[{"ref": "main", "source": "push", **one} for one in pipelines])
    )
    return read_ci(served.forge.statuses(served.world.repo, tip))


def test_jobs_that_may_fail_or_wait_for_people_say_nothing(served: ServedForge) -> None:
    """A manual job holds its pipeline up unless it may be left out."""
    passed, manual = {"status": "success"}, {"status": "manual"}
    assert jobs(served, passed, {"status": "failed", "allow_failure": True}).verdict is CiVerdict.GREEN
    assert jobs(served, passed, manual | {"allow_failure": True}).verdict is CiVerdict.GREEN
    assert jobs(served, passed, manual).reason is CiReason.APPROVAL
    assert jobs(served, passed, {"status": "created"}).verdict is CiVerdict.PENDING
    assert jobs(served, passed, {"status": "canceled"}).verdict is CiVerdict.RED


def test_the_newest_pipeline_of_a_branch_counts(served: ServedForge) -> None:
    """What an older one said, and has not been said again, is over; one of another kind counts beside it."""
    old, new = {"id": 1, "status": "failed"}, {"id": 2, "status": "success"}
    listed = ({"status": "failed"}, {"status": "success", "pipeline_id": 2})
    assert jobs(served, *listed, pipelines=(new, old)).verdict is CiVerdict.GREEN
    external = old | {"source": "external"}
    assert jobs(served, *listed, pipelines=(new, external)).verdict is CiVerdict.RED


@pytest.mark.parametrize(("is_ours", "verdict"), [(True, CiVerdict.RED), (False, CiVerdict.UNKNOWN)])
def test_a_pipeline_of_merged_results_judges_the_work(
    served: ServedForge, *, is_ours: bool, verdict: CiVerdict
) -> None:
    """It runs at a commit that GitLab makes of the work; one of an earlier commit says nothing of this."""
    head = served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="")
    merge, ref = "e" * 40, f"refs/merge-requests/{change.number}/merge"
    shown = {"iid": change.number, "state": "opened", "sha": head, "target_branch": "main"}
    pipeline = {"id": 4, "sha": merge, "ref": ref, "status": "failed", "source": "merge_request_event"}
    job = {"id": 8, "name": "unit", "status": "failed", "pipeline_id": 4}
    older = job | {"id": 7, "name": "lint", "pipeline_id": 3}  # of another pipeline at the same commit
    instead(served, f"/merge_requests/{change.number}", Answer(value=shown | {"head_pipeline": pipeline}))
    parents = [served.world.repository.tip(), head if is_ours else "d" * 40]
    commit = f"GET /projects/{PROJECT}/repository/commits/{merge}"
    served.server.routes = {
        **_route(commit, Answer(value={"id": merge, "parent_ids": parents})),
        **_route(f"{commit}/statuses", Answer(value=[older, job])),
        **_route(f"GET /projects/{PROJECT}/jobs/8/trace", Answer(raw=b"FAILED test_sum\n")),
        **served.server.routes,
    }
    found = read_ci(served.forge.statuses(served.world.repo, head))
    assert (found.verdict, found.names) == (verdict, ("unit",) if is_ours else ())
    log = served.forge.failing_log(served.world.repo, head, most_characters=500)
    assert ("FAILED test_sum" in log) is is_ours


def test_a_pipeline_without_jobs_speaks_for_itself(served: ServedForge) -> None:
    """Its file is wrong, or its jobs are yet to be made."""
    found = jobs(served, {"status": "success", "pipeline_id": 7}, pipelines=({"id": 2, "status": "failed"},))
    assert (found.verdict, found.names) == (CiVerdict.RED, ("pipeline (push)",))
    found = jobs(served, {"status": "success"}, pipelines=({"id": 2, "status": "created"},))
    assert (found.verdict, found.names) == (CiVerdict.PENDING, ("pipeline (push)",))


def test_the_log_of_a_failed_job_is_read(served: ServedForge) -> None:
    """Its end, without what runners print for machines; statuses of others have none."""
    jobs(
        served, {"id": 5, "name": "unit", "status": "failed"}, {"id": 6, "name": "sonar", "status": "failed"}
    )
    log = b"section_start:12:build\r\x1b[0KBuild\nFAILED test_sum\nsection_end:13:build\r\n"
    served.server.routes |= _route(rf"GET /projects/{PROJECT}/jobs/5/trace", Answer(raw=log))
    said = served.forge.failing_log(served.world.repo, served.world.repository.tip(), most_characters=500)
    assert said == "sonar\n\nunit\nBuild\nFAILED test_sum"


def test_work_is_squashed_where_the_settings_say_so(served: ServedForge, change: ChangeRequest) -> None:
    """One commit with our message, which is found on the main branch."""
    squashing = served.with_settings(merge_method="squash")
    merged = squashing.merge(change)
    assert (merged.state, merged.merge_commit) == (ChangeState.MERGED, served.world.repository.tip())
    assert served.world.log("main", "-1")[0]["message"] == f"Merge {BRANCH}"
    squashing.close_connections()
    fast = served.with_settings(merge_method="rebase")
    served.world.repository.work(other := f"{BRANCH[:-1]}0", {"other.txt": "other\n"})
    second = fast.open_change(served.world.repo, other, title="Other", body="")
    served.world.say(second.head, "ci/build", "success")
    with pytest.raises(ForgeRefusedError, match="set the merge method of the project"):
        fast.merge(second)
    fast.close_connections()


def test_a_project_that_fast_forwards_merges_what_holds_its_newest(
    served: ServedForge, change: ChangeRequest
) -> None:
    """What lacks a commit is rebased first, and what CI passes then is the main branch's newest as it is."""
    served.world.fast_forward, served.world.judges_updates = True, False
    served.world.commit_on_main("Meanwhile")
    fast = served.with_settings(merge_method="rebase")
    with pytest.raises(ForgeOutdatedError, match="need_rebase"):
        fast.merge(change)
    head = fast.bring_up_to_date(change, onto=fast.newest(served.world.repo, None))
    assert head != change.head
    rebased = change.model_copy(update={"head": head})
    with pytest.raises(ForgeRefusedError, match="not green"):
        fast.merge(rebased)
    served.world.say(head, "ci/build", "success")
    merged = fast.merge(rebased)
    assert (merged.state, merged.merge_commit) == (ChangeState.MERGED, head)
    assert served.world.repository.tip() == head
    fast.close_connections()


@pytest.mark.parametrize(
    ("status", "why", "error"),
    [
        (405, "checking", ForgeUnreachableError),
        (405, "need_rebase", ForgeOutdatedError),
        (405, "not_approved", ForgeRefusedError),
        (405, "draft_status", ForgeRefusedError),
        (405, "discussions_not_resolved", ForgeRefusedError),
        (422, "conflict", ForgeRefusedError),
        (401, "mergeable", ForgeRefusedError),  # GitLab's word for a user who may not merge this one
    ],
)
def test_why_a_request_was_not_merged_is_said(
    served: ServedForge, change: ChangeRequest, status: int, why: str, error: type[Exception]
) -> None:
    """By its detailed status: some pass by themselves, the others are for a person."""
    pull = {"iid": change.number, "state": "opened", "source_branch": BRANCH, "target_branch": "main"}
    shown = pull | {"sha": change.head, "detailed_merge_status": why}
    instead(served, f"/merge_requests/{change.number}", Answer(value=shown))
    refusal = Answer(status=status, value={"message": f"{status} Refused"})
    instead(served, f"/merge_requests/{change.number}/merge", refusal, "PUT")
    with pytest.raises(error, match=why) as refused:
        served.forge.merge(change)
    assert type(refused.value) is error


@pytest.mark.parametrize(("number", "reason"), [(4, "took merge request"), (12, "more notes than are read")])
def test_words_of_a_person_do_not_say_that_a_request_left_the_train(
    served: ServedForge, change: ChangeRequest, number: int, reason: str
) -> None:
    """Later comments with GitLab's words neither end the search for GitLab's own note nor stand for it."""
    world = served.world
    world.merge_queue = True
    with pytest.raises(ForgeQueuedError):
        served.forge.merge(change)
    world.throw_out(world.pull_of(BRANCH), by="ann")
    for count in range(number):
        said = world.comment(change.number or 0, "out", f"started a merge train, as I said {count} times")
        said.created_at = f"2099-01-01T00:00:{count:02}Z"
    with pytest.raises(ForgeRefusedError, match=reason):
        served.forge.merge(change)
    assert world.queued == []


def test_a_rebase_that_meets_conflicts_is_refused_once_it_is_known(
    served: ServedForge, change: ChangeRequest
) -> None:
    """GitLab rebases after its answer: first nobody knows, then the reason stands in the request."""
    served.world.repository.work("main", {"new.txt": "another\n"})
    onto = served.forge.newest(served.world.repo, None)
    with pytest.raises(ForgeUnreachableError, match="is being brought up to date"):
        served.forge.bring_up_to_date(change, onto=onto)
    with pytest.raises(ForgeRefusedError, match="resolve all conflicts"):
        served.forge.bring_up_to_date(change, onto=onto)


def test_threads_are_resolved_when_they_were_dealt_with(served: ServedForge, change: ChangeRequest) -> None:
    """Once, and only then; a remark that stands alone is a comment with its place."""
    pull = served.world.pull_of(BRANCH)
    served.world.review(pull, "REQUEST_CHANGES", remarks=[("cart.py", 3, "Why?")])
    (given,) = served.forge.feedback(change)
    served.forge.answer(change, given, "No.")
    assert pull.resolved == []
    for _ in range(2):
        served.forge.answer(change, given.model_copy(update={"id": "review:7"}), "Done.", resolved=True)
    assert pull.resolved == [given.remarks[0].thread]
    served.world.review(pull, "COMMENT", actor="bob", remarks=[("cart.py", 5, f"@{OWN_LOGIN} here?")])
    alone = next(one for one in served.forge.feedback(change) if one.author == "bob")
    assert (alone.id.partition(":")[0], alone.remarks[0].line, alone.names(OWN_LOGIN)) == ("comment", 5, True)


def test_an_approval_that_was_taken_back_is_none(served: ServedForge, change: ChangeRequest) -> None:
    """The notes that GitLab writes tell, each with its time."""
    notes = [
        {"id": count, "body": f"{word} this merge request", "system": True, "author": {"username": "ann"}}
        | {"created_at": f"2026-01-0{count}T00:00:00Z"}
        for count, word in enumerate(["approved", "unapproved"], start=1)
    ]
    talk = [{"id": f"{one['id']}", "individual_note": True, "notes": [one]} for one in notes]
    instead(served, f"/merge_requests/{change.number}/discussions", Answer(value=talk[:1]))
    assert [one.author for one in served.forge.reviews(change)] == ["ann"]
    instead(served, f"/merge_requests/{change.number}/discussions", Answer(value=talk))
    assert served.forge.reviews(change) == ()


@pytest.mark.parametrize(
    ("pattern", "levels", "is_shut"),
    [
        ("coalmine/*", [{"access_level": 40}], True),
        ("*", [{"access_level": 0}], True),
        ("coalmine/*", [{"access_level": 30}], False),
        ("coalmine/*", [{"access_level": 40}, {"user_id": 100}], False),
        ("coalmine/*", [{"access_level": 40}, {"group_id": 3}], False),
        ("release-*", [{"access_level": 40}], False),
    ],
)
def test_protected_branches_of_our_name_are_found(
    served: ServedForge, pattern: str, levels: list[dict[str, int]], *, is_shut: bool
) -> None:
    """A star stands for slashes too; a Developer is let in where Developers, or our user, may push."""
    instead(served, "/protected_branches", Answer(value=[{"name": pattern, "push_access_levels": levels}]))
    assert bool(served.forge.repository_fault(served.world.repo)) is is_shut
