"""Every request that we send to GitLab is one that its documentation describes."""

from collections.abc import Iterator

import pytest

from routing.forges.rest.forge import RestForge
from tests.fakes.forge_world import OWN_LOGIN
from tests.servers.forge_server import AskedRequest
from tests.servers.gitlab_operations import GRAPHQL, OPERATIONS, foreign, operation_of
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"


@pytest.fixture
def squashing(served: ServedForge) -> Iterator[RestForge]:
    """A client that squashes."""
    forge = served.with_settings(merge_method="squash")
    yield forge
    forge.close_connections()


def play(served: ServedForge, squashing: RestForge) -> None:
    """All that may be asked of a GitLab: an issue, its merge request, a review, a merge, a train."""
    world, forge = served.world, served.forge
    blocker = world.open_issue("First", "text")
    issue = world.open_issue("Slow", "text", labels=["agent"], blocked_by=[blocker.number])
    ref = served.ref(issue)
    forge.access(world.repo)
    forge.repository_fault(world.repo)
    for owner in ("acme", "ann"):
        forge.repositories_of(owner)
    forge.list_issues(world.repo, "agent")
    forge.edit_comment(ref, forge.comment(ref, "On it").id, "Done")
    forge.read_issue(ref)
    forge.add_label(ref, "ready-for-human")
    forge.remove_label(ref, "ready-for-human")
    forge.assign(ref, "ann")
    forge.requested_by(ref, "agent")
    forge.dependencies(ref)
    forge.permission(world.repo, "ann")
    head = world.repository.work(BRANCH, {"new.txt": "new\n"})
    world.say(head, "ci/build", "failure")
    forge.statuses(world.repo, head)
    forge.failing_log(world.repo, head, most_characters=100)
    world.say(head, "ci/build", "success")
    forge.contains(world.repo, head)
    change = forge.open_change(world.repo, BRANCH, title="Fast", body="It was slow.")
    pull = world.pull_of(BRANCH)
    world.review(pull, "REQUEST_CHANGES", remarks=[("cart.py", 3, "Why?")])
    world.comment(pull.issue.number, "ann", f"@{OWN_LOGIN} and this?")
    for feedback in forge.feedback(change):
        forge.answer(change, feedback, "Done.", resolved=True)
    forge.reviews(change)
    world.review(pull, "COMMENT", remarks=[("cart.py", 4, "And then?")])
    world.repository.work(BRANCH, {"new.txt": "newer\n"})
    moved = forge.change_of_branch(world.repo, BRANCH)
    assert moved is not None
    forge.feedback(moved)
    world.say(moved.head, "ci/build", "success")
    world.commit_on_main("Meanwhile")
    onto = forge.newest(world.repo, None)
    forge.bring_up_to_date(moved, onto=onto)
    ride_the_train(served)
    pull.head = world.head(pull)
    now = forge.change_of_branch(world.repo, BRANCH)
    assert now is not None
    merged = squashing.merge(now, issue=ref)
    forge.reverts_of(world.repo, merged.merge_commit)
    forge.close(ref)


def ride_the_train(served: ServedForge) -> None:
    """A request comes onto the train, and is taken off it."""
    served.world.merge_queue = True
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    with pytest.raises(Exception, match="merge train"):
        served.forge.merge(change, issue=None)
    served.forge.withdraw_merge(change)
    served.world.merge_queue = False


@pytest.mark.parametrize("served", ["gitlab"], indirect=True)
def test_every_request_is_described(served: ServedForge, squashing: RestForge) -> None:
    """With parameters, words and members that are known, and those that must be there."""
    play(served, squashing)
    asked = list(served.server.asked)
    assert {wrong for one in asked for wrong in foreign(one)} == set()
    used = {id(operation_of(one)) for one in asked}
    unused = [f"{one.method} {one.path}" for one in OPERATIONS if id(one) not in used]
    assert unused == []


def asking(method: str, path: str, query: dict[str, str], body: object = None) -> AskedRequest:
    """A request as it would arrive."""
    return AskedRequest(
        method=method, path=path, quoted_path=path, query=query, pairs=tuple(query.items()), headers={},
        body=body,
    )  # fmt: skip


def graphql(query: str) -> AskedRequest:
    """A query about an issue."""
    return asking("POST", GRAPHQL, {}, {"query": query, "variables": {"issue": "gid://gitlab/Issue/1"}})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (asking("GET", "/projects/17/labels", {}), "is not described"),
        (asking("PATCH", "/projects/17/issues/1", {}, {"state_event": "close"}), "is not described"),
        (asking("GET", "/projects/acme/shop", {}), "is not described"),
        (asking("GET", "/projects/17/issues", {"state": "open"}), "knows no state='open'"),
        (asking("GET", "/projects/17/issues", {"limit": "3"}), "knows no parameter 'limit'"),
        (asking("PUT", "/projects/17/issues/1", {}, {"state": "closed"}), "knows no member 'state'"),
        (asking("PUT", "/projects/17/issues/1", {}, {"assignee_ids": 3}), "takes no int as assignee_ids"),
        (asking("PUT", "/projects/17/issues/1", {}, {"state_event": "closed"}), "knows no state_event"),
        (asking("POST", "/projects/17/issues/1/notes", {}, {}), "lacks 'body'"),
        (graphql("query A($issue: IssueID!) { issue(id: $issue) { label } }"), "Cannot query field 'label'"),
        (graphql("query A($issue: ID!) { issue(id: $issue) { iid } }"), "has other types"),
        (graphql("{ issue }"), "does not take it"),
    ],
)
def test_what_is_foreign_is_found(asked: AskedRequest, said: str) -> None:
    """Otherwise the table would prove nothing."""
    (wrong,) = foreign(asked)
    assert said in wrong
