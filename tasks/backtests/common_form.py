"""The form in which the field exchanges cases: JSON lines, with the change and its tests as patches.

A line has `instance_id`, `repo`, `base_commit`, `problem_statement`, `patch`, `test_patch`, `FAIL_TO_PASS`
and `PASS_TO_PASS` as SWE-bench defined them; its data sets have the lists as JSON text. Patches become files,
and files patches, in a repository that has the base commit. What else a line has is passed over.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from harvest.backtests.case import Case, CaseOrigin, Commit, HiddenFile
from harvest.backtests.case_text import without_answer
from routing.errors import InvalidInputError
from routing.git.git import Git, GitError
from tasks.agents.pairs.hidden_tests import laid_over
from tasks.agents.repository.our_git import with_index
from tasks.backtests.past_changes import REGULAR


def _listed(value: object) -> object:
    """A list that may be written as JSON text."""
    return json.loads(value) if isinstance(value, str) and value.strip() else value or ()


#: The number of the change request, with which the field's names of cases end: `acme__shop-12`.
_REQUEST = re.compile(r"-([1-9][0-9]{0,8})\Z")

Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class CommonCase(BaseModel):
    """One line of the common form."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    instance_id: str
    repo: str
    base_commit: Commit
    problem_statement: str
    patch: str  # unified diff of the true change, without its tests
    test_patch: str
    FAIL_TO_PASS: Names = ()
    PASS_TO_PASS: Names = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonLine:
    """One line of a file: its case, or why it has none."""

    number: int  # from 1
    case: CommonCase | None
    problem: str = ""


def common_lines(text: str) -> Iterator[CommonLine]:
    """The lines of a file of JSON lines that are not empty, those that are wrong with them."""
    # Not `splitlines`: JSON may have U+2028 and its kind within a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield CommonLine(number=number, case=CommonCase.model_validate_json(line))
        except (ValidationError, ValueError) as error:
            problem = f"it is not a case of the common form: {' '.join(str(error).split())[:300]}"
            yield CommonLine(number=number, case=None, problem=problem)


def case_of(common: CommonCase, git: Git, *, repository: str) -> Case:
    """A case from a line, for a repository as jobs name it. `git` has the base commit, and is written to.

    InvalidInputError when a patch does not fit the base commit, or the line says what a case cannot hold.
    """
    tree = patched(git, common.base_commit, common.test_patch, what=f"test_patch of {common.instance_id}")
    request = _REQUEST.search(common.instance_id)
    text = without_answer(common.problem_statement, [], numbers=[int(request[1])] if request else [])
    title, _, _ = text.strip().partition("\n")
    try:
        return Case(
            id=common.instance_id,
            repository=repository,
            base=common.base_commit,
            title=title[:200],
            text=text,
            hidden=tuple(_files(git, common.base_commit, tree)),
            origin=CaseOrigin(kind="file"),
            patch=common.patch,
            fail_to_pass=common.FAIL_TO_PASS,
            pass_to_pass=common.PASS_TO_PASS,
        )
    except ValidationError as error:
        message = f"{common.instance_id[:80]} cannot be a case: {' '.join(str(error).split())[:300]}"
        raise InvalidInputError(message) from error


def common_of(case: Case, git: Git) -> CommonCase:
    """A line from a case. `git` has its base and, where it names one, its true change; it is written to."""
    tests = laid_over(git, case.base, case.hidden)
    paths = [f":(exclude,literal){file.path}" for file in case.hidden]
    patch = case.patch
    if not patch and case.origin.change is not None:
        patch = _diff(git, case.base, case.origin.change, ".", *paths)
    return CommonCase(
        instance_id=case.id,
        repo=case.repository.rpartition(":")[2],
        base_commit=case.base,
        problem_statement=case.text if case.text.startswith(case.title) else f"{case.title}\n\n{case.text}",
        patch=patch,
        test_patch=_diff(git, case.base, tests, "."),
        FAIL_TO_PASS=case.fail_to_pass,
        PASS_TO_PASS=case.pass_to_pass,
    )


def written(cases: Iterable[CommonCase]) -> str:
    """Cases as JSON lines, with the lists as JSON text."""
    lines = []
    for case in cases:
        fields = case.model_dump(mode="json")
        for name in ("FAIL_TO_PASS", "PASS_TO_PASS"):
            fields[name] = json.dumps(fields[name])
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    return "".join(lines)


def patched(git: Git, base: str, patch: str, *, what: str) -> str:
    """The tree of a commit with a patch on it. InvalidInputError when it does not fit."""
    with TemporaryDirectory(prefix="index-", dir=git.directory) as folder:
        staged = with_index(git, Path(folder) / "index")
        try:
            staged("read-tree", base)
            staged("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch)
            return staged("write-tree")
        except GitError as error:
            message = f"the {what} does not fit commit {base[:12]}: {str(error)[-300:]}"
            raise InvalidInputError(message) from error


def true_change(case: Case, git: Git) -> str:
    """The commit of a case's true change, made from its patch where only that is known. InvalidInputError."""
    if case.origin.change is not None:
        return case.origin.change
    if not case.patch:
        message = f"case {case.id} names neither its true change nor a patch, so it cannot be proven"
        raise InvalidInputError(message)
    tree = patched(git, case.base, case.patch, what=f"patch of {case.id}")
    return git("commit-tree", tree, "-p", case.base, "-m", "the true change")


def _diff(git: Git, one: str, other: str, *paths: str) -> str:
    options = ["--binary", "--no-color", "--no-ext-diff", "--no-renames", "--full-index"]
    raw = git.raw("diff-tree", "-p", *options, one, other, "--", *paths)
    return raw.decode(errors="surrogateescape")


def _files(git: Git, base: str, tree: str) -> Iterator[HiddenFile]:
    raw = git.raw("diff-tree", "-r", "-z", "--no-renames", base, tree).decode(errors="surrogateescape")
    parts = raw.split("\0")
    for head, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, blob, what = head.split(" ")
        if what != "D" and mode not in REGULAR:
            message = f"the test_patch makes {path[:80]} a link or a submodule, which a case cannot hold"
            raise InvalidInputError(message)
        content = None if what == "D" else git.raw("cat-file", "blob", blob)
        yield HiddenFile.of(path, content, executable=REGULAR.get(mode, False))
