"""Where pull requests go, on forges over HTTP: to the branch that the work began from."""

import pytest

from routing.base import Base
from routing.forges.change_request import ChangeState
from routing.forges.commit_status import CiVerdict
from routing.forges.errors import ForgeBaseGoneError, ForgeRefusedError
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"


def asked(served: ServedForge, base: Base | None) -> str:
    """Ask for the work to be merged; returns the branch that it goes to."""
    return served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="", base=base).base


def unreleased(served: ServedForge) -> Base:
    """A branch beside the default one, with a commit of its own that work began from."""
    commit = served.world.repository.work("develop", {"unreleased.txt": "new\n"})
    served.world.repository.work(BRANCH, {"new.txt": "new\n"}, onto=commit)
    return Base(branch="develop", commit=commit)


def test_request_goes_to_the_branch_that_the_work_began_from(served: ServedForge) -> None:
    """The default branch is another one by now; without a base it is the default branch."""
    base = unreleased(served)

    assert asked(served, base) == "develop"
    served.world.repository.work("coalmine/1123456789abcdef", {"new.txt": "new\n"})
    change = served.forge.open_change(served.world.repo, "coalmine/1123456789abcdef", title="x", body="")
    assert change.base == "main"


def test_request_goes_to_the_default_branch_when_its_own_is_gone(served: ServedForge) -> None:
    """It was merged and deleted: the default branch has the base, so nothing else comes along."""
    base = unreleased(served)
    served.world.repository.git("update-ref", "refs/heads/main", base.commit)
    served.world.repository.git("update-ref", "-d", "refs/heads/develop")

    assert asked(served, base) == "main"


def test_unreleased_work_does_not_come_along(served: ServedForge) -> None:
    """Its branch was deleted without a merge: no request is opened that would bring its commits to main."""
    base = unreleased(served)
    served.world.repository.git("update-ref", "-d", "refs/heads/develop")

    with pytest.raises(ForgeBaseGoneError, match=f"began from {base.commit[:12]}, which main does not have"):
        asked(served, base)
    assert not served.world.pulls


def test_what_was_taken_out_since_is_not_merged(served: ServedForge) -> None:
    """The request was opened before main was rewritten; the merge would bring the old commit back."""
    repository = served.world.repository
    bad = repository.work("main", {"password.txt": "s3cret\n"})
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    base = Base(branch="main", commit=bad)
    asked(served, base)
    served.world.say(head, "ci/build", "success")
    repository.git("update-ref", "refs/heads/main", f"{bad}~1")
    change = served.forge.change_of_branch(served.world.repo, BRANCH)
    assert change is not None

    with pytest.raises(ForgeBaseGoneError):
        served.forge.merge(change, base=base)
    assert served.world.pull_of(BRANCH).merged_at is None


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_what_must_pass_is_what_the_branch_of_the_work_requires(served: ServedForge) -> None:
    """Not what the default branch does: neither is enough for the other, by protection and by rulesets."""
    base = unreleased(served)
    head = served.world.repository.tip(BRANCH)
    change = served.forge.open_change(served.world.repo, BRANCH, title="x", body="", base=base)
    served.world.required = ["ci/main"]
    ruled = ["ci/ruled"] if served.kind == "github" else []
    served.world.elsewhere["develop"] = (["ci/develop"], ruled)

    def verdict(base: Base | None) -> CiVerdict:
        return served.forge.statuses(served.world.repo, head, base=base).verdict

    served.world.say(head, "ci/main", "success")
    assert (verdict(None), verdict(base)) == (CiVerdict.GREEN, CiVerdict.PENDING)
    with pytest.raises(ForgeRefusedError, match="ci/develop"):
        served.forge.merge(change, base=base)
    served.world.say(head, "ci/develop", "success")
    if ruled:
        assert verdict(base) is CiVerdict.PENDING
        served.world.say(head, "ci/ruled", "success")
    assert verdict(base) is CiVerdict.GREEN
    assert served.forge.merge(change, base=base).state is ChangeState.MERGED


def test_the_branch_that_work_goes_to_is_asked_what_it_holds(served: ServedForge) -> None:
    """What landed there, and was taken back there, although the main branch has nothing of it."""
    forge, repo, repository = served.forge, served.world.repo, served.world.repository
    base = Base(branch="release", commit=repository.work("release", {"notes.txt": "1.0\n"}))
    head = repository.work(BRANCH, {"new.txt": "new\n"}, onto="release")
    assert not forge.contains(repo, head, base=base)
    repository.git("branch", "--force", "release", head)
    assert forge.contains(repo, head, base=base)
    assert not forge.contains(repo, head)
    assert forge.reverts_of(repo, head, base=base) == ()
    tree = repository.git("rev-parse", f"{base.commit}^{{tree}}")
    back = repository.git("commit-tree", "-p", head, "-m", "Without it", tree)
    repository.git("branch", "--force", "release", back)
    assert [one.commit for one in forge.reverts_of(repo, head, base=base)] == [back]
    assert not forge.contains(repo, head, base=Base(branch="gone", commit=base.commit))
