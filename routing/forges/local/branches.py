"""What became of a branch, read from git: merged (by whomever and however), reverted, or deleted.

Git forgets a deleted branch, and cannot say whether a branch was merged by fast-forward or never had a commit
of its own. So each branch that is seen with commits of its own is written down, once for each head.

Nothing here changes the repository; what is written lies in the folder `sightings`. Everything is found out
anew at each call, from the branches as they are then: people may merge, rebase, squash, force-push and delete
at any time. Where the history allows no answer, the answer is "not merged", never a guess.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from routing.errors import CorruptRecordError
from routing.forges.change_request import ChangeRequest, ChangeState, Revert
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.durable_file import read_regular, replace_file
from routing.forges.local.git import LocalGit
from routing.forges.work_branch import checked_branch, checked_commit

#: How many commits of the main branch are searched for a branch that was squashed into one of them.
MAX_SQUASH_SEARCH = 200

# A record of a branch is a few hundred bytes; a larger file is not ours.
_MAX_SEEN_BRANCH_BYTES = 64 * 1024
# What `git revert` writes, and what people write who revert the pull request of an issue.
_REVERTS = re.compile(r"^this reverts commit ([0-9a-f]{7,64})\b", re.IGNORECASE | re.MULTILINE)
_REVERTS_ISSUE = re.compile(
    r"^reverts (?:[a-z][a-z0-9-]*:)?([\w./-]+)#([0-9]{1,9})\b", re.IGNORECASE | re.MULTILINE
)
# The trailer of our own merge commits, see `routing.forges.work_branch.merge_message`.
_MERGED_FOR = re.compile(r"^Coalmine-Issue: \S+#([0-9]{1,9})$", re.MULTILINE)


class SeenBranch(BaseModel):
    """A branch as it was when it had commits that the main branch had not."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    branch: str
    head: str
    base: str  # where it left the main branch
    target: str = ""  # the branch that it was merged into by us, "" for the main branch
    seen_at: AwareDatetime


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

    def change(self, branch: str) -> ChangeRequest | None:
        """Return what is known of a branch; None when it has, and had, no commit of its own.

        Looking is what makes it known: a branch that is created and deleted between two looks was never
        there. A branch with a new head is looked at as new work.
        """
        checked_branch(branch)
        known, tip = self._recall(branch), self.git.tip(branch)
        main = self.git.tip_of(self._target(known))
        if tip is not None and (known is None or known.head != tip):
            known = self._look(branch, tip, main) or known
        if known is None:
            return None
        if not self.git.has_commit(known.head):
            return self._request(known, ChangeState.CLOSED)
        landed = self._landed(known, main)
        if landed is None:
            return self._request(known, ChangeState.CLOSED if tip is None else ChangeState.OPEN)
        return self._merged(known, landed)

    def _merged(self, known: SeenBranch, landed: str) -> ChangeRequest:
        """The merged change request: when it landed, and the first revert of it."""
        at = self.git.time_of(landed)
        if landed == known.head:  # a fast-forward leaves no commit that would say when it happened
            at = max(at, known.seen_at)
        reverts = self.reverts_of(landed, known.head)
        facts = {
            "merge_commit": landed,
            "merged_at": at,
            "reverted_at": reverts[0].at if reverts else None,
        }
        return self._request(known, ChangeState.MERGED).model_copy(update=facts)

    def note_target(self, branch: str, target: str) -> None:
        """Note where a branch was merged, if not into the main branch: it is looked for there from now on."""
        known = self._recall(branch)
        if known is not None and target != self.git.main_branch():
            self._write(known.model_copy(update={"target": target}))

    def _target(self, known: SeenBranch | None) -> str:
        """The branch that a branch is, or was, merged into."""
        noted = known.target if known is not None else ""
        return noted if noted and self.git.tip(noted) is not None else self.git.main_branch()

    def reverts_of(self, *commits: str) -> tuple[Revert, ...]:
        """Find the commits of the main branch that say that they revert one of these, oldest first.

        By what their messages say, as git keeps no other trace of a revert. A message may name the commit (in
        full, or the beginning of its hash), or the issue that the merge was made for. A revert of a revert is
        not looked for. () where the repository holds none of the commits.
        """
        wanted = [checked_commit(commit) for commit in commits]
        main = self.git.main_tip()
        # Only what came after the commits: a message that quotes a hash cannot be older than the hash.
        since = [f"^{commit}" for commit in wanted if self.git.has_commit(commit)]
        if not since:
            return ()
        issues = {number for commit in wanted for number in self._issues_of(commit)}
        format_ = "--format=%H %ct%n%B"
        log = self.git.run("log", "-z", "--reverse", "-i", "--grep=reverts", format_, main, *since, "--")
        found = []
        for entry in filter(None, log.split("\0")):
            facts, _, message = entry.partition("\n")
            commit, at = facts.split()
            if _says_it_reverts(message, wanted, issues, self.repo):
                found.append(Revert(commit=commit, at=datetime.fromtimestamp(int(at), UTC)))
        return tuple(found)

    def _issues_of(self, commit: str) -> list[str]:
        """The numbers of the issues that a merge of ours was made for."""
        if not self.git.has_commit(commit):
            return []
        return _MERGED_FOR.findall(self.git.run("log", "-1", "--format=%B", commit))

    def _look(self, branch: str, tip: str, main: str) -> SeenBranch | None:
        """Write down a branch that has, or once had, commits of its own.

        None for a branch whose head is, or once was, the main branch's newest commit: such a branch was made
        from there and has nothing of its own, or was merged by fast-forward before it was ever seen. Of a
        branch that shares no history with the main branch the base is "".
        """
        if self.git.is_ancestor(tip, main):
            if self._is_on_main_line(tip, main):
                return None
            base = self.git.run("merge-base", f"{self._landing(tip, main)}^1", tip)
        else:
            found, printed = self.git.ask("merge-base", main, tip)
            base = printed.strip() if found == 0 else ""
        sighting = SeenBranch(branch=branch, head=tip, base=base, seen_at=datetime.now(UTC))
        self._write(sighting)
        return sighting

    def _write(self, sighting: SeenBranch) -> None:
        self.sightings.mkdir(parents=True, exist_ok=True)
        replace_file(self._file(sighting.branch), sighting.model_dump_json(indent=1).encode())

    def _landed(self, known: SeenBranch, main: str) -> str | None:
        """The commit of the main branch that brought the work in, None when nothing did.

        Ways that keep the commits (merge, fast-forward) are decided by ancestry; ways that copy them (rebase,
        squash) by comparing patches. Without a base there is nothing to compare.
        """
        if self.git.is_ancestor(known.head, main):
            return self._landing(known.head, main)
        if known.base in {"", main} or not self.git.is_ancestor(known.base, main):
            return None
        return self._rebased(known, main) or self._squashed(known, main)

    def _landing(self, head: str, main: str) -> str:
        """The oldest commit on the main branch's own line that contains `head`."""
        if self._is_on_main_line(head, main):
            return head
        containing = set(self.git.run("rev-list", "--ancestry-path", f"{head}..{main}").split())
        line = self.git.run("rev-list", "--first-parent", f"{head}..{main}").split()
        return [commit for commit in line if commit in containing][-1]

    def _is_on_main_line(self, commit: str, main: str) -> bool:
        """Whether an ancestor of `main` was itself once the main branch's newest commit.

        The line of first parents is what the main branch pointed at, one commit after the other.
        """
        line = self.git.run("log", "--first-parent", "--format=%P", f"{commit}..{main}").splitlines()
        return line[-1].split(" ")[0] == commit if line else commit == main

    def _rebased(self, known: SeenBranch, main: str) -> str | None:
        """A person may rebase the branch: then the main branch has each of its patches under another name.

        `git cherry` marks those with `-`. One that is missing, or was changed on the way, means not merged.
        """
        cherry = self.git.run("cherry", main, known.head, known.base).splitlines()
        if not cherry or not all(line.startswith("-") for line in cherry):
            return None
        last = self._patches("show", known.head)
        return self._newest_with(last, known, main)

    def _squashed(self, known: SeenBranch, main: str) -> str | None:
        """Or squash it: then one commit of the main branch makes the change that the branch makes."""
        return self._newest_with(self._patches("diff", known.base, known.head), known, main)

    def _newest_with(self, patches: dict[str, str], known: SeenBranch, main: str) -> str | None:
        """The commit on the main branch, since the branch left it, that makes one of these patches."""
        on_main = self._patches(
            "log", "-p", "--first-parent", f"--max-count={MAX_SQUASH_SEARCH}", f"{known.base}..{main}"
        )  # fmt: skip
        return next((on_main[patch] for patch in patches if patch in on_main), None)

    def _patches(self, *command: str) -> dict[str, str]:
        """The identities of patches (see git-patch-id), each with its commit.

        An identity leaves out line numbers and white space, so it survives a rebase onto changed
        surroundings. The settings of the user's own git (colours, external diffs, conversions) are kept out.
        """
        text = self.git.run(command[0], "--no-color", "--no-ext-diff", "--no-textconv", *command[1:], "--")
        printed = self.git.run("patch-id", "--stable", stdin=f"{text}\n")
        return {patch: commit for patch, _, commit in (line.partition(" ") for line in printed.splitlines())}

    def _request(self, known: SeenBranch, state: ChangeState) -> ChangeRequest:
        return ChangeRequest(
            repo=self.repo, branch=known.branch, head=known.head, base=self._target(known), state=state
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


def _says_it_reverts(message: str, commits: list[str], issues: set[str], repo: str) -> bool:
    """Whether a message says that it takes back one of the commits, or the work for one of the issues."""
    named = [name.lower() for name in _REVERTS.findall(message)]
    if any(commit.startswith(name) for commit in commits for name in named):
        return True
    return any(
        name.rpartition("/")[2] == repo and number in issues
        for name, number in _REVERTS_ISSUE.findall(message)
    )
