"""What forges over HTTP must do beyond the contract of all, each against the suite's own server."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from routing.forges.change_request import ChangeRequest, ChangeState, ReviewVerdict
from routing.forges.commit_status import CiVerdict
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeOutcomeUnknownError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.forge import KnowsRequests, Permission
from routing.git.git import Git
from routing.http.settings import HttpLimits
from routing.issues.issue import IssueRef
from tests.fakes.forge_world import OWN_LOGIN, WorldIssue
from tests.servers.forge_server import Answer, AskedRequest
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"
CHANGES_REQUESTED = {"github": "CHANGES_REQUESTED"}


def opened(served: ServedForge, files: dict[str, str]) -> str:
    """Push work and ask for it to be merged; returns the commit."""
    head = served.world.repository.work(BRANCH, files)
    served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="")
    return head


def test_pull_requests_are_not_issues(served: ServedForge) -> None:
    """Both forges number and list them together; only issues are work."""
    issue = served.world.open_issue("Slow", "text", labels=["agent"])
    opened(served, {"new.txt": "new\n"})
    assert [one.ref for one in served.forge.list_issues(served.world.repo, None).issues] == [
        served.ref(issue)
    ]


def test_repositories_of_an_owner_are_listed(served: ServedForge) -> None:
    """Of organisations and of users, without archived ones; an owner who is not there is gone."""
    assert served.forge.repositories_of("acme") == (served.world.repo, "acme/till")
    private = ("ann/diary",) if served.kind == "github" else ()  # which a user's own listing leaves out there
    assert served.forge.repositories_of("ann") == ("ann/dots", *private)
    with pytest.raises(ForgeGoneError):
        served.forge.repositories_of("nobody")


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)  # GitLab names projects by id
def test_work_in_a_repository_that_was_renamed_keeps_its_request(served: ServedForge) -> None:
    """Forges redirect from the old name, and send the new one; a fork's request is still not ours."""
    asked = served.world.repo
    served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = served.forge.open_change(asked, BRANCH, title="Socks", body="")
    served.world.repo = f"{asked}-and-more"
    assert "acme/shop-and-more now: write that" in served.forge.access(asked).note
    found = served.forge.change_of_branch(asked, BRANCH)
    assert found is not None
    assert (found.number, found.state) == (change.number, ChangeState.OPEN)
    assert served.forge.open_change(asked, BRANCH, title="Socks", body="").number == change.number


@pytest.mark.parametrize("squash", [False, True])
def test_a_commit_leads_to_the_request_that_brought_it(served: ServedForge, *, squash: bool) -> None:
    """With what it says, once it is merged; nothing of one that no request brought, or that is not there."""
    world, forge = served.world, served.forge
    head = opened(served, {"new.txt": "new\n"})
    pull = world.pull_of(BRANCH)
    pull.issue.body = "It was slow.\n\nCloses #3"
    assert isinstance(forge, KnowsRequests)
    assert forge.requests_of(world.repo, head) == ()
    merged = world.merge(pull, "Cart is fast", squash=squash)
    (said,) = forge.requests_of(world.repo, merged)
    assert (said.number, said.title, said.body) == (pull.issue.number, "Cart is fast", pull.issue.body)
    assert forge.requests_of(world.repo, world.commit_on_main("By hand")) == ()
    assert forge.requests_of(world.repo, "c" * 40) == ()


def test_a_label_that_nobody_knows_lists_nothing(served: ServedForge) -> None:
    """A forge may ignore a label that it does not know; what it lists then is not for agents."""
    served.world.open_issue("Slow", "text", labels=["bug"])
    assert served.forge.list_issues(served.world.repo, "agent").issues == ()


def test_labels_are_compared_as_the_forge_does(served: ServedForge) -> None:
    """On GitHub `Agent` and `agent` are one label, on Gitea two."""
    issue = served.world.open_issue("Slow", "text", labels=["Agent"])
    listed = served.forge.list_issues(served.world.repo, "agent").issues
    assert [one.ref for one in listed] == ([served.ref(issue)] if served.kind == "github" else [])


def test_long_listings_are_read_whole_or_say_that_they_are_not(served: ServedForge) -> None:
    """Five pages of two hold nine issues; the eleventh makes the listing incomplete."""
    numbers = [served.world.open_issue(f"Issue {count}", None).number for count in range(9)]
    listing = served.forge.list_issues(served.world.repo, None)
    assert [one.ref.number for one in listing.issues] == numbers
    assert listing.complete
    for count in range(2):
        served.world.open_issue(f"More {count}", None)
    assert not served.forge.list_issues(served.world.repo, None).complete


def test_an_issue_that_cannot_be_read_hides_no_other(served: ServedForge) -> None:
    """It is among the problems, by its number and with what is wrong."""
    good = served.world.open_issue("Slow", None)
    bad = served.world.open_issue("", None)
    listing = served.forge.list_issues(served.world.repo, None)
    assert [one.ref for one in listing.issues] == [served.ref(good)]
    assert [problem.where for problem in listing.problems] == [f"acme/shop#{bad.number}"]
    assert "title" in listing.problems[0].message


def test_empty_fields_may_be_null(served: ServedForge) -> None:
    """No body, no author, nobody assigned."""
    issue = served.world.open_issue("Slow", None)
    issue.author = ""
    read = served.forge.read_issue(served.ref(issue))
    assert (read.body, read.author, read.assignees) == ("", "", ())


def test_line_ends_do_not_make_another_revision(served: ServedForge) -> None:
    """A body that was edited in a browser comes with carriage returns."""
    one = served.world.open_issue("Slow", "a\r\nb")
    other = served.world.open_issue("Slow", "a\nb")
    assert (
        served.forge.read_issue(served.ref(one)).revision
        == served.forge.read_issue(served.ref(other)).revision
    )


def test_a_new_label_comes_into_being_once(served: ServedForge) -> None:
    """A label that the repository has not is made, the second time it is used."""
    issues = [served.world.open_issue("Slow", None), served.world.open_issue("Slower", None)]
    for issue in issues:
        served.forge.add_label(served.ref(issue), "ready for/human?")
        assert issue.labels == ["ready for/human?"]
    assert list(served.world.labels) == ["ready for/human?"]
    served.forge.remove_label(served.ref(issues[0]), "ready for/human?")
    assert issues[0].labels == []
    with pytest.raises(ForgeGoneError):
        served.forge.remove_label(served.ref(issues[0]).model_copy(update={"number": 99}), "ready for/human?")


@pytest.mark.parametrize("label", ["", "a,b", ".."])
def test_a_label_that_is_none_is_not_sent(served: ServedForge, label: str) -> None:
    """Commas would make two of it, and dots another path."""
    issue = served.world.open_issue("Slow", None, labels=["agent"])
    if label != "..":
        with pytest.raises(ForgeInvalidError):
            served.forge.add_label(served.ref(issue), label)
    elif served.kind == "github":
        with pytest.raises(ForgeInvalidError):
            served.forge.remove_label(served.ref(issue), label)
    assert issue.labels == ["agent"]
    assert not [asked for asked in served.server.asked if asked.method != "GET"]


def test_assigning_takes_nobody_away(served: ServedForge) -> None:
    """Gitea replaces its list, GitHub ignores strangers without a word: neither is passed on."""
    issue = served.world.open_issue("Slow", None)
    served.forge.assign(served.ref(issue), "ann")
    served.forge.assign(served.ref(issue), "coalmine")
    assert issue.assignees == ["ann", "coalmine"]
    with pytest.raises(ForgeInvalidError):
        served.forge.assign(served.ref(issue), "out")
    assert issue.assignees == ["ann", "coalmine"]


def test_blockers_go_by_their_number(served: ServedForge) -> None:
    """Not by the database's id, and all pages of them, closed ones too."""
    blockers = [served.world.open_issue(f"First {count}", None) for count in range(3)]
    blockers[0].state = "closed"
    issue = served.world.open_issue("Then", None, blocked_by=[one.number for one in blockers])
    assert served.forge.dependencies(served.ref(issue)) == tuple(served.ref(one) for one in blockers)


def test_a_forge_without_dependencies_has_none(served: ServedForge) -> None:
    """Where they are switched off the path is not there; an issue that is not there is gone."""
    issue = served.world.open_issue("Slow", None)
    served.server.next.append(Answer(status=404, value={"message": "Not Found"}))
    assert served.forge.dependencies(served.ref(issue)) == ()
    with pytest.raises(ForgeGoneError):
        served.forge.dependencies(served.ref(issue).model_copy(update={"number": 99}))


def test_only_our_own_comment_of_this_issue_is_edited(served: ServedForge) -> None:
    """The token may edit all of them; we ask whose it is, and on which issue."""
    issue, other = served.world.open_issue("Slow", None), served.world.open_issue("Slower", None)
    theirs = served.world.comment(issue.number, "ann", "theirs")
    ours = served.world.comment(issue.number, OWN_LOGIN.upper(), "ours")
    served.forge.edit_comment(served.ref(issue), ours.id, "edited")
    with pytest.raises(ForgeRefusedError):
        served.forge.edit_comment(served.ref(issue), theirs.id, "edited")
    with pytest.raises(ForgeGoneError):
        served.forge.edit_comment(served.ref(other), ours.id, "edited again")
    assert (theirs.body, ours.body) == ("theirs", "edited")
    assert [asked.path for asked in served.server.asked].count("/user") == 1


def test_a_comment_is_never_written_twice(served: ServedForge) -> None:
    """The answer is lost after it was written: that is said, and not tried again."""
    issue = served.world.open_issue("Slow", None)
    served.server.after = lambda asked: setattr(served.server, "silent", asked.method == "POST")
    with pytest.raises(ForgeOutcomeUnknownError):
        served.forge.comment(served.ref(issue), "On it")
    assert [one.body for one in served.world.comments.values()] == ["On it"]


@pytest.mark.parametrize(
    ("user", "permission"),
    [
        ("ann", Permission.ADMIN), ("coalmine", Permission.WRITE), ("reader", Permission.READ),
        ("out", Permission.NONE), ("nobody", Permission.NONE), ("", Permission.NONE),
    ],
)  # fmt: skip
def test_permission_is_what_the_forge_says(served: ServedForge, user: str, permission: Permission) -> None:
    """Also of those whom it does not know."""
    assert served.forge.permission(served.world.repo, user) is permission


def test_permission_in_no_repository_is_gone(served: ServedForge) -> None:
    """A repository that is not there is not the same as a user who may do nothing."""
    with pytest.raises(ForgeGoneError):
        served.forge.permission("acme/other", "ann")
    with pytest.raises(ForgeInvalidError):
        served.forge.permission(served.world.repo, "..")


def test_all_pages_of_statuses_count(served: ServedForge) -> None:
    """The failure on the last page is seen, and a context's newest word replaces the older."""
    head = served.world.repository.tip()
    served.world.say(head, "ci/0", "failure")
    for count in range(5):
        served.world.say(head, f"ci/{count}", "success")
    served.world.say(head, "coalmine/progress", "failure")
    assert served.forge.statuses(served.world.repo, head).verdict is CiVerdict.GREEN
    served.world.say(head, "ci/9", "failure")
    assert served.forge.statuses(served.world.repo, head).verdict is CiVerdict.RED


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("success", CiVerdict.GREEN), ("pending", CiVerdict.PENDING), ("error", CiVerdict.RED),
        ("warning", CiVerdict.RED), ("skipped", CiVerdict.UNKNOWN), ("some_new_word", CiVerdict.PENDING),
    ],
)  # fmt: skip
def test_a_status_means(served: ServedForge, word: str, verdict: CiVerdict) -> None:
    """A word that is not known means wait, never green."""
    head = served.world.repository.tip()
    served.world.say(head, "ci/build", word)
    assert served.forge.statuses(served.world.repo, head).verdict is verdict


def test_a_part_of_the_statuses_is_not_a_verdict(served: ServedForge) -> None:
    """More contexts than are read: unreachable, never green."""
    head = served.world.repository.tip()
    for count in range(11):
        served.world.say(head, f"ci/{count}", "success")
    with pytest.raises(ForgeUnreachableError, match="max_pages"):
        served.forge.statuses(served.world.repo, head)


def test_120_statuses_over_three_pages_are_judged_as_a_whole(served: ServedForge) -> None:
    """One that failed on the last page makes it red; with fewer pages allowed there is no verdict at all."""
    head = served.world.repository.tip()
    served.world.say(head, "ci/000", "success")
    for count in range(1, 120):
        served.world.say(head, f"ci/{count:03}", "success")
    whole = served.with_settings(limits=HttpLimits(page_size=50, max_pages=3, attempts=1))
    said = whole.statuses(served.world.repo, head)
    assert (len(said.statuses), said.verdict, said.failing) == (120, CiVerdict.GREEN, ())
    assert len([one for one in served.server.asked if "/status" in one.path]) == 3
    for one in served.world.statuses[:1] + served.world.statuses[-1:]:
        one["word"] = "failure"
    said = whole.statuses(served.world.repo, head)
    assert (said.verdict, said.failing) == (CiVerdict.RED, ("ci/000", "ci/119"))
    whole.close_connections()
    part = served.with_settings(limits=HttpLimits(page_size=50, max_pages=2, attempts=1))
    with pytest.raises(ForgeUnreachableError, match="max_pages"):
        part.statuses(served.world.repo, head)
    part.close_connections()


def test_check_runs_count_beside_statuses(served: ServedForge) -> None:
    """On GitHub a green status does not outweigh a check that failed, or has not ended."""
    if served.kind != "github":
        return  # Gitea's own runs report as statuses
    head = served.world.repository.tip()
    served.world.say(head, "ci/build", "success")
    for count in range(4):
        served.world.run_check(head, f"job {count}", "success")
    served.world.run_check(head, "slow job", None)
    assert served.forge.statuses(served.world.repo, head).verdict is CiVerdict.PENDING
    served.world.run_check(head, "bad job", "failure")
    assert served.forge.statuses(served.world.repo, head).verdict is CiVerdict.RED


def test_a_change_is_merged_at_its_head_only(served: ServedForge) -> None:
    """A commit that was pushed after the verdict is not merged with it."""
    head = opened(served, {"new.txt": "new\n"})
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    with pytest.raises(ForgeRefusedError, match="unknown, not green"):
        served.forge.merge(change)
    served.world.say(head, "ci/build", "success")
    newer = served.world.repository.more_work(BRANCH, {"more.txt": "more\n"})
    with pytest.raises(ForgeRefusedError, match="no longer at"):
        served.forge.merge(change)
    served.world.say(newer, "ci/build", "success")

    def push_meanwhile(asked: AskedRequest) -> None:
        if asked.path.endswith(("statuses", "check-runs")):
            served.world.repository.more_work(BRANCH, {"late.txt": "late\n"})

    served.server.after = push_meanwhile  # between our look and our merge
    with pytest.raises(ForgeRefusedError, match="409"):
        served.forge.merge(change.model_copy(update={"head": newer}))
    assert served.world.pull_of(BRANCH).merged_at is None


def test_a_merge_names_its_issue_and_is_made_once(served: ServedForge) -> None:
    """AskedRequest again it changes nothing; the merge says which issue it was for."""
    head = opened(served, {"new.txt": "new\n"})
    served.world.say(head, "ci/build", "success")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    issue = IssueRef(forge=served.forge.name, repo=served.world.repo, number=7)
    merged = served.forge.merge(change, issue=issue)
    assert served.forge.merge(change, issue=issue) == merged
    assert merged.merge_commit == served.world.repository.tip()
    assert f"Coalmine-Issue: {issue}" in served.world.log("main", "-1")[0]["message"]


def test_people_merge_where_the_settings_say_so(served: ServedForge) -> None:
    """A green change stays open; so does a branch that is not ours, and one that was closed."""
    head = opened(served, {"new.txt": "new\n"})
    served.world.say(head, "ci/build", "success")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    careful = served.with_settings(merge="never")
    with pytest.raises(ForgeRefusedError, match="by hand"):
        careful.merge(change)
    careful.close_connections()
    with pytest.raises(ForgeInvalidError, match="not a branch of ours"):
        served.forge.merge(change.model_copy(update={"branch": "feature"}))
    served.world.pull_of(BRANCH).issue.state = "closed"
    with pytest.raises(ForgeRefusedError, match="closed"):
        served.forge.merge(change)


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_a_refusal_that_will_pass_is_not_an_answer(served: ServedForge) -> None:
    """While the forge looks for conflicts, or somebody else merges, it is asked again later."""
    head = opened(served, {"new.txt": "new\n"})
    served.world.say(head, "ci/build", "success")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    passing = Answer(status=405, value={"message": "Please try again later"})

    def before_the_merge() -> None:
        served.server.next.append(passing)

    last = "check-runs" if served.kind == "github" else "statuses"
    served.server.after = lambda asked: before_the_merge() if asked.path.endswith(last) else None
    with pytest.raises(ForgeUnreachableError, match="try again later"):
        served.forge.merge(change)


@pytest.mark.parametrize("served", ["github"], indirect=True)
@pytest.mark.parametrize(
    ("before", "since", "error"),
    [
        (None, None, ForgeUnreachableError),
        (None, True, ForgeUnreachableError),  # found out between our question and our look
        (None, False, ForgeRefusedError),
        (False, False, ForgeRefusedError),
    ],
)
def test_a_change_whose_conflicts_are_looked_for_is_merged_later(
    served: ServedForge, error: type[ForgeError], *, before: bool | None, since: bool | None
) -> None:
    """GitHub says "not mergeable" of it, as it does of one that has conflicts."""
    head = opened(served, {"new.txt": "new\n"})
    served.world.say(head, "ci/build", "success")
    change, pull = served.forge.change_of_branch(served.world.repo, BRANCH), served.world.pull_of(BRANCH)
    assert change is not None
    pull.mergeable = before

    def found_out(asked: AskedRequest) -> None:
        if asked.path.endswith("/merge"):
            pull.mergeable = since

    served.server.after = found_out
    with pytest.raises(error, match="not mergeable"):
        served.forge.merge(change)
    pull.mergeable = True
    assert served.forge.merge(change).state is ChangeState.MERGED


def test_a_closed_change_may_be_opened_anew(served: ServedForge) -> None:
    """The newest pull request of the branch counts, the open one before all."""
    opened(served, {"new.txt": "new\n"})
    served.world.pull_of(BRANCH).issue.state = "closed"
    closed = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert closed is not None
    assert closed.state is ChangeState.CLOSED
    assert closed.merge_commit == ""
    again = served.forge.open_change(served.world.repo, BRANCH, title="Again", body="")
    assert (again.state, again.number) != (closed.state, closed.number)
    assert served.forge.change_of_branch(served.world.repo, BRANCH) == again


def test_somebody_else_may_have_opened_the_change(served: ServedForge) -> None:
    """Two who open it at once have one change."""
    served.world.repository.work(BRANCH, {"new.txt": "new\n"})

    def race(asked: AskedRequest) -> None:
        listed = asked.path.endswith(("/pulls", "/merge_requests"))
        if listed and asked.method == "GET" and not served.world.pulls:
            served.world.open_pull(BRANCH, "Theirs", "ann")

    served.server.after = race
    change = served.forge.open_change(served.world.repo, BRANCH, title="Ours", body="")
    assert [pull.issue.title for pull in served.world.pulls.values()] == ["Theirs"]
    assert change.number == served.world.pull_of(BRANCH).issue.number


def test_a_revert_is_seen_after_the_branch_is_gone(served: ServedForge) -> None:
    """By what it does: words that name the commit, or the pull request, take nothing back."""
    opened(served, {"new.txt": "new\n"})
    pull = served.world.pull_of(BRANCH)
    commit = served.world.merge(pull, "Merge it (#1)")
    served.world.repository.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    for words in (f"This reverts commit {commit}.", f"Reverts acme/shop#{pull.issue.number}"):
        served.world.commit_on_main(f"Other work\n\n{words}")
    before = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert before is not None
    assert (before.state, before.reverted_at) == (ChangeState.MERGED, None)
    assert served.forge.reverts_of(served.world.repo, commit) == ()
    revert = served.world.revert(pull)
    after = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert after is not None
    assert after.reverted_at is not None
    assert [one.commit for one in served.forge.reverts_of(served.world.repo, commit)] == [revert]


def merged_by_hand(served: ServedForge) -> ChangeRequest:
    """Work that somebody merged, as our client sees it."""
    opened(served, {"new.txt": "new\n"})
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    assert change.state is ChangeState.MERGED
    return change


def test_a_branch_that_moves_while_it_is_deleted_is_kept(served: ServedForge) -> None:
    """Somebody pushes after we have looked: the server compares, so that no commit is lost."""
    change = merged_by_hand(served)

    def push(asked: AskedRequest) -> None:
        if asked.path.endswith(f"/branches/{BRANCH}"):
            served.server.after = lambda _: None
            served.world.repository.more_work(BRANCH, {"more.txt": "more\n"})

    served.server.after = push
    with pytest.raises(ForgeUnreachableError):
        served.forge.delete_branch(change)
    assert served.world.has_branch(BRANCH)
    with pytest.raises(ForgeRefusedError, match="no longer at"):
        served.forge.delete_branch(change)


def test_a_branch_that_its_forge_protects_is_kept(served: ServedForge) -> None:
    """By a rule for our names, or because the token may not push; a git that is away says neither."""
    change = merged_by_hand(served)
    served.world.elsewhere[BRANCH] = (["ci/build"], [])
    with pytest.raises(ForgeRefusedError, match="protects it"):
        served.forge.delete_branch(change)
    del served.world.elsewhere[BRANCH]
    assert served.server.git is not None
    served.server.git.read_only = True
    with pytest.raises(ForgeRefusedError, match="not deleted"):
        served.forge.delete_branch(change)
    served.server.git.read_only = False
    served.server.git.moved_to = "http://127.0.0.1:1"
    with pytest.raises(ForgeUnreachableError):
        served.forge.delete_branch(change)
    assert served.world.has_branch(BRANCH)


@pytest.mark.parametrize("closed", [True, False])
def test_work_that_a_hand_brought_to_main_is_merged(served: ServedForge, *, closed: bool) -> None:
    """Picked, or squashed by a bot: its request is open still, or was closed without a merge."""
    head = opened(served, {"new.txt": "new\n"})
    pull, git = served.world.pull_of(BRANCH), Git(served.world.repository.bench)
    served.world.commit_on_main("Somebody else was first")
    git("cherry-pick", head)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    if closed:
        served.world.close(pull.issue)
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    assert (change.state, change.merge_commit) == (ChangeState.MERGED, git("rev-parse", "HEAD"))
    assert (change.head, change.reverted_at) == (head, None)


def test_a_merge_that_is_reset_away_was_taken_back(served: ServedForge) -> None:
    """The forge calls it merged for ever; its commits are not on the main branch any longer."""
    opened(served, {"new.txt": "new\n"})
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    bench = Git(served.world.repository.bench)
    bench("push", "--quiet", "--force", "origin", "HEAD~1:refs/heads/main")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    assert change.state is ChangeState.MERGED
    assert change.reverted_at is not None


def test_a_forge_whose_git_gives_no_answer_is_taken_at_its_word(served: ServedForge) -> None:
    """The merge counts; that nobody looked at the main branch is said."""
    assert served.server.git is not None
    opened(served, {"new.txt": "new\n"})
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    served.server.git.moved_to = "http://127.0.0.1:1"
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    assert (change.state, change.looked, change.reverted_at) == (ChangeState.MERGED, False, None)


def test_times_of_other_zones_are_understood(served: ServedForge) -> None:
    """A merge at nine in Tokyo was at midnight."""
    opened(served, {"new.txt": "new\n"})
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    served.world.pull_of(BRANCH).merged_at = "2026-01-02T09:00:00+09:00"
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    assert change.merged_at == datetime(2026, 1, 2, tzinfo=UTC)


def test_reviews_come_with_their_rounds(served: ServedForge) -> None:
    """Drafts and dismissed reviews are none; all pages are read, and a reviewer may have left."""
    opened(served, {"new.txt": "new\n"})
    word = CHANGES_REQUESTED.get(served.kind, "REQUEST_CHANGES")

    def add(minute: int, state: str, commit: str, **more: object) -> None:
        at = f"2026-01-01T10:{minute:02}:00Z"
        served.world.pull_of(BRANCH).reviews.append(
            {"id": minute, "user": {"login": "ann"}, "state": state, "commit_id": commit, "submitted_at": at}
            | more
        )

    add(1, word, "a")
    add(2, "PENDING", "a", submitted_at=None)
    add(3, "DISMISSED" if served.kind == "github" else word, "b", dismissed=True)
    add(4, word, "b", user=None)
    add(5, "APPROVED", "c")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None
    reviews = served.forge.reviews(change)
    requested, approved = ReviewVerdict.CHANGES_REQUESTED, ReviewVerdict.APPROVED
    assert [(one.author, one.verdict, one.commit, one.round) for one in reviews] == [
        ("ann", requested, "a", 1), ("", requested, "b", 2), ("ann", approved, "c", 3),
    ]  # fmt: skip


def test_another_forges_issue_is_not_ours(served: ServedForge) -> None:
    """A name that belongs elsewhere is never sent."""
    with pytest.raises(ForgeInvalidError, match="another forge"):
        served.forge.close(IssueRef(forge="elsewhere", repo=served.world.repo, number=1))
    assert served.server.asked == []


def test_the_wrong_token_is_refused(served: ServedForge) -> None:
    """And the message says where to look, without saying the token."""
    stranger = served.with_settings(token=SecretStr("wr0ng-t0k3n"))
    with pytest.raises(ForgeRefusedError, match=r"docs/forges\.md") as caught:
        stranger.list_issues(served.world.repo, None)
    assert "wr0ng" not in f"{caught.value!r}{stranger!r}"
    stranger.close_connections()


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_an_issue_that_was_moved_elsewhere_is_gone(served: ServedForge) -> None:
    """GitHub leads from its old name to that in another repository, which is not the issue asked for."""
    issue, other = (served.world.open_issue(title, "text", labels=["agent"]) for title in ("Old", "Other"))
    api = "/repos" if served.kind == "github" else "/api/v1/repos"
    path = f"{api}/{served.world.repo}/issues/{other.number}"
    for ask in (
        served.forge.read_issue,
        lambda ref: served.forge.requested_by(ref, "agent"),
        lambda ref: served.forge.remove_label(ref, "agent"),
    ):
        served.server.next.append(Answer(status=301, headers={"Location": f"{served.server.address}{path}"}))
        with pytest.raises(ForgeGoneError, match="moved"):
            ask(served.ref(issue))
    assert other.labels == ["agent"]


def shown(served: ServedForge, issue: WorldIssue, repo: str) -> dict[str, Any]:
    """An issue as the forge shows it in another repository, or under another name of its own."""
    page: dict[str, Any] = {"number": issue.number, "title": issue.title, "state": issue.state}
    page |= {"labels": [{"id": 1, "name": "agent"}], "updated_at": issue.updated_at}
    where = {"repository_url": f"https://api.forge.test/repos/{repo}"}
    return page | (where if served.kind == "github" else {"repository": {"full_name": repo}})


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_an_issue_of_the_same_number_elsewhere_is_another(served: ServedForge) -> None:
    """It was moved, and happens to have its number there too."""
    issue = served.world.open_issue("Old", "text", labels=["agent"])
    served.server.next.append(Answer(value=shown(served, issue, "acme/elsewhere")))
    with pytest.raises(ForgeGoneError, match=r"moved: it is acme/elsewhere#1 now"):
        served.forge.read_issue(served.ref(issue))


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_an_issue_of_a_renamed_repository_is_the_same(served: ServedForge) -> None:
    """The forge shows both under the new name."""
    issue = served.world.open_issue("Old", "text", labels=["agent"])
    served.server.next += [
        Answer(value=shown(served, issue, "acme/store")),
        Answer(value={"full_name": "acme/store", "default_branch": "main"}),
    ]
    found = served.forge.read_issue(served.ref(issue))
    assert (found.ref, found.title) == (served.ref(issue), "Old")
