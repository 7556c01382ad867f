"""What became of a branch, read from git: merged (by whomever and however), reverted, or deleted.

Git forgets a deleted branch, and cannot say whether a branch was merged by fast-forward or never had a commit
of its own. So each branch that is seen with commits of its own is written down, once for each head.

Nothing here changes the repository; what is written lies in the folder `sightings`. Where the branches stand
is found out anew at each call: people may merge, rebase, squash, force-push and delete at any time. What
follows from that is kept, as commits never change. Where the history allows no answer, the answer is "not
merged", never a guess.
"""

import contextlib
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from routing.base import Base
from routing.errors import CorruptRecordError
from routing.forges.change_request import ChangeRequest, ChangeState, Revert
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.durable_file import read_regular, replace_file
from routing.forges.local.git import Heads, LocalGit, existing_commit
from routing.forges.work_branch import checked_branch, checked_commit
from routing.git.main_history import Landing, MainHistory

# A record of a branch is a few hundred bytes; a larger file is not ours.
_MAX_SEEN_BRANCH_BYTES = 64 * 1024

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")

#: Answers of a kind that one process keeps: more than there are branches at work.
MOST_KEPT = 4096


class SeenBranch(BaseModel):
    """A branch as it was when it had commits that the main branch had not."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    schema_version: Literal[1] = 1
    branch: str
    head: str
    base: str  # where it left the main branch
    target: str = ""  # the branch that it was merged into by us, "" for the main branch
    seen_at: AwareDatetime
    landed: str = ""  # the commit of the main branch that brought it there, "" while none was seen
    landed_at: AwareDatetime | None = None
    dropped_at: AwareDatetime | None = None  # when it was first seen that it is not there any longer


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBranches:
    """The change requests of a repository, which here are its branches.

    A branch is OPEN while it exists and is not on the main branch, MERGED once its work is there in any form,
    CLOSED when it was deleted, or its commits are gone, without that. Processes may share the folder: records
    are replaced whole, and two that look at the same branch write the same.
    """

    git: LocalGit
    repo: str  # the repository's name
    sightings: Path  # folder of what was seen
    _landings: dict[tuple[str, ...], Landing | None] = field(default_factory=dict, repr=False, compare=False)
    _contained: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False, compare=False)

    def change(self, branch: str) -> ChangeRequest | None:
        """Return what is known of a branch; None when it has, and had, no commit of its own.

        Looking is what makes it known: a branch that is created and deleted between two looks was never
        there. A branch with a new head is looked at as new work.
        """
        checked_branch(branch)
        known = self._recall(branch)
        heads = self.git.heads(branch, onto=known.target if known is not None else "")
        tip = heads.tips.get(branch)
        if tip is not None and (known is None or known.head != tip):
            known = self._look(branch, tip, heads.target_tip) or known
        if known is None:
            return None
        landing = self._landing(known, heads.target_tip, is_there=tip == known.head)
        if landing is not None:
            return self._merged(known, heads, landing)
        if known.landed:
            return self._dropped(known, heads)
        gone = tip is None or (tip != known.head and not self.git.has_commit(known.head))
        return self._request(known, heads, ChangeState.CLOSED if gone else ChangeState.OPEN)

    def _landing(self, known: SeenBranch, main: str, *, is_there: bool) -> Landing | None:
        """How a branch landed, None when it did not; the same for as long as neither end has moved.

        Except that a commit that is not there may come: `is_there` says that the branch's newest one is.
        """
        key = (main, known.head, known.base, known.landed)
        with contextlib.suppress(KeyError):
            return self._landings[key]
        history = MainHistory(git=self.git, tip=main)
        landing = history.landing(known.head, base=known.base, merged_as=known.landed)
        if is_there or landing is not None:
            _keep(self._landings, key, landing)
        return landing

    def contains(self, commit: str, base: Base | None) -> bool:
        """Whether the branch that work from a base goes to holds the commit; ForgeGoneError: unknown."""
        key = (self.git.heads_for(base).target_tip, checked_commit(commit))
        found = self._contained.get(key)
        if found is None:
            found = self.git.is_ancestor(existing_commit(self.git, commit), key[0])
            _keep(self._contained, key, found)
        return found

    def _merged(self, known: SeenBranch, heads: Heads, landing: Landing) -> ChangeRequest:
        """The merged change request: when it landed, and when it was taken back."""
        at = landing.at
        if landing.commit == known.head:  # a fast-forward leaves no commit that would say when it happened
            at = max(at, known.seen_at)
        if known.landed != landing.commit:
            self._write(known.model_copy(update={"landed": landing.commit, "landed_at": at}))
            _keep(self._landings, (heads.target_tip, known.head, known.base, landing.commit), landing)
        facts = {"merge_commit": landing.commit, "merged_at": at, "reverted_at": landing.reverted_at}
        return self._request(known, heads, ChangeState.MERGED).model_copy(update=facts)

    def _dropped(self, known: SeenBranch, heads: Heads) -> ChangeRequest:
        """Work that had landed and is not on the main branch any longer, which was reset or rewritten."""
        at = known.dropped_at or datetime.now(UTC)
        if known.dropped_at is None:
            self._write(known.model_copy(update={"dropped_at": at}))
        facts = {"merge_commit": known.landed, "merged_at": known.landed_at, "reverted_at": at}
        return self._request(known, heads, ChangeState.MERGED).model_copy(update=facts)

    def note_target(self, branch: str, target: str) -> None:
        """Note where a branch was merged, if not into the main branch: it is looked for there from now on."""
        known = self._recall(branch)
        if known is not None and target != self.git.main_branch():
            self._write(known.model_copy(update={"target": target}))

    def reverts_of(self, commit: str, base: Base | None = None) -> tuple[Revert, ...]:
        """Find the commit that took this one back on the branch that work goes to, by content."""
        history = MainHistory(git=self.git, tip=self.git.heads_for(base).target_tip)
        landing = history.landing(checked_commit(commit), base=base.commit if base is not None else "")
        if landing is None or landing.reverted_at is None:
            return ()
        return (Revert(commit=landing.revert, at=landing.reverted_at),)

    def _look(self, branch: str, tip: str, main: str) -> SeenBranch | None:
        """Write down a branch that has, or once had, commits of its own.

        None for a branch whose head is, or once was, the main branch's newest commit: such a branch was made
        from there and has nothing of its own, or was merged by fast-forward before it was ever seen. Of a
        branch that shares no history with the main branch the base is "".
        """
        if self.git.is_ancestor(tip, main):
            history = MainHistory(git=self.git, tip=main)
            if history.is_on_line(tip):
                return None
            base = self.git.run("merge-base", f"{history.landing_commit(tip)}^1", tip)
        else:
            found, printed = self.git.ask("merge-base", main, tip)
            base = printed.strip() if found == 0 else ""
        sighting = SeenBranch(branch=branch, head=tip, base=base, seen_at=datetime.now(UTC))
        self._write(sighting)
        return sighting

    def _write(self, sighting: SeenBranch) -> None:
        self.sightings.mkdir(parents=True, exist_ok=True)
        replace_file(self._file(sighting.branch), sighting.model_dump_json(indent=1).encode())

    def _request(self, known: SeenBranch, heads: Heads, state: ChangeState) -> ChangeRequest:
        return ChangeRequest(
            repo=self.repo, branch=known.branch, head=known.head, base=heads.target, state=state
        )

    def _file(self, branch: str) -> Path:
        """One file for each branch, named by a hash, as a branch's name may hold slashes and be too long."""
        return self.sightings / f"{hashlib.sha256(branch.encode()).hexdigest()[:32]}.json"

    def _recall(self, branch: str) -> SeenBranch | None:
        """What was written down of a branch, None for nothing.

        A damaged record stops the answer: it may hide a merge.
        """
        try:
            content, _ = read_regular(self._file(branch), max_bytes=_MAX_SEEN_BRANCH_BYTES)
            return SeenBranch.model_validate_json(content)
        except FileNotFoundError:
            return None
        except (OSError, CorruptRecordError, ValidationError) as error:
            message = (
                f"what was seen of branch {branch} cannot be read ({error}); delete {self._file(branch)}"
            )
            raise ForgeUnreachableError(message) from error


def _keep(kept: dict[_Key, _Answer], key: _Key, answer: _Answer) -> None:
    """Keep one answer more; all are forgotten when they are many, and asked for again."""
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = answer
