"""Jobs, issues, versions and trials, found by their id or by words: a bounded look at each kind."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import CoalmineError, UnavailableError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, is_job_id
from routing.printable import printable
from routing.templates.trial import Trial
from routing.templates.version import Version
from tasks.composition.composition import Coalmine

#: Jobs and issues that are looked at for words, and ids of jobs for the beginning of one.
LOOKED_AT, IDS_LOOKED_AT = 500, 10_000

#: Things of a kind in an answer, and characters of a question.
MOST_OF_KIND, LONGEST = 10, 200

_BEGINNING = re.compile("[0-9a-f]{4,16}")
_NUMBER = re.compile("#?([0-9]{1,18})")


class FoundKind(StrEnum):
    """What was found."""

    JOB = "job"
    ISSUE = "issue"
    VERSION = "version"
    TRIAL = "trial"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundThing:
    """One thing, and the page of it."""

    kind: FoundKind
    name: str
    title: str
    state: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchAnswer:
    """What a question led to."""

    question: str
    exact: FoundThing | None  # whose whole id the question is
    things: Sequence[FoundThing]  # that one first

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "question": self.question,
            "found": [
                {"kind": each.kind.value, "name": each.name, "title": each.title, "state": each.state,
                 "link": each.link}
                for each in self.things
            ],
        }  # fmt: skip


def find(parts: Coalmine, question: str) -> SearchAnswer:
    """What has all words of a question, in any case; at most MOST_OF_KIND of each kind. "" finds nothing."""
    asked = " ".join(printable(question).split())[:LONGEST]
    if not asked:
        return SearchAnswer(question="", exact=None, things=())
    exact = _exact(parts, asked)
    words = asked.casefold().split()
    by_words = chain(
        islice(_versions(parts, words), MOST_OF_KIND),
        islice(_trials(parts, words), MOST_OF_KIND),
        islice(_issues(parts, asked, words), MOST_OF_KIND),
        islice(_jobs(parts, asked, words), MOST_OF_KIND),
    )
    first = [] if exact is None else [exact]
    return SearchAnswer(
        question=asked, exact=exact, things=[*first, *(each for each in by_words if each != exact)]
    )


def _exact(parts: Coalmine, asked: str) -> FoundThing | None:
    """The thing whose whole id was asked for; one that cannot be read is found by its own page."""
    if is_job_id(asked):
        (job,) = parts.job_store.read_many([asked])
        return None if job is None else _of_job(job)
    if "#" in asked:
        with suppress(CoalmineError):
            (item,) = parts.backlog_store.read([IssueRef.parse(asked)])
            return None if item is None else _of_issue(item)
        return None
    try:
        if "@" in asked:
            return _of_version(parts.templates.find(asked))
        trial = parts.trials.find(asked)
        return _of_trial(trial) if trial.id == asked else None
    except UnavailableError:
        raise
    except CoalmineError:
        return None


def _versions(parts: Coalmine, words: Sequence[str]) -> Iterator[FoundThing]:
    for name in parts.templates.names():
        with suppress(CoalmineError):
            for version in reversed(parts.templates.versions(name)):
                if _has(words, version.id, version.state.value, version.snapshot.model or ""):
                    yield _of_version(version)


def _trials(parts: Coalmine, words: Sequence[str]) -> Iterator[FoundThing]:
    for name in parts.templates.names():
        for trial in reversed(parts.trials.history(name)):
            if _has(words, trial.id, trial.canary_id, trial.champion_id, trial.state.value, trial.reason):
                yield _of_trial(trial)


def _issues(parts: Coalmine, asked: str, words: Sequence[str]) -> Iterator[FoundThing]:
    number = _NUMBER.fullmatch(asked)
    listed = chain.from_iterable(parts.backlog_store.listed(state) for state in BacklogState)
    for item in islice(listed, LOOKED_AT):
        is_numbered = number is not None and item.ref.number == int(number[1])
        if is_numbered or _has(words, str(item.ref), item.title):
            yield _of_issue(item)


def _jobs(parts: Coalmine, asked: str, words: Sequence[str]) -> Iterator[FoundThing]:
    """The newest; by the beginning of an id more are looked at. Only what is found is read whole."""
    store = parts.job_store
    ids = store.newest(IDS_LOOKED_AT if _BEGINNING.fullmatch(asked) else LOOKED_AT)
    begun = [job for job in ids if job.startswith(asked)][:MOST_OF_KIND]
    others = [job for job in ids[:LOOKED_AT] if job not in begun]
    found = zip(others, store.words(others), strict=True)
    named = [job for job, said in found if said is not None and _has(words, *said)]
    for job in store.read_many([*begun, *named[: MOST_OF_KIND + 1]]):
        if job is not None:
            yield _of_job(job)


def _has(words: Sequence[str], *texts: str) -> bool:
    """Whether each word is somewhere in the texts together."""
    whole = " ".join(texts).casefold()
    return all(word in whole for word in words)


def _of_job(job: Job) -> FoundThing:
    title = job.request.title or job.request.task.partition("\n")[0][:200]
    return FoundThing(
        kind=FoundKind.JOB, name=job.id, title=title, state=job.state.value, link=f"/jobs/{job.id}"
    )


def _of_issue(item: BacklogItem) -> FoundThing:
    name = str(item.ref)
    return FoundThing(
        kind=FoundKind.ISSUE, name=name, title=item.title, state=item.state.value,
        link=f"/issue?ref={quote(name, safe='')}",
    )  # fmt: skip


def _of_version(version: Version) -> FoundThing:
    return FoundThing(
        kind=FoundKind.VERSION, name=version.id, title="", state=version.state.value,
        link=f"/versions/{quote(version.id, safe='@')}",
    )  # fmt: skip


def _of_trial(trial: Trial) -> FoundThing:
    return FoundThing(
        kind=FoundKind.TRIAL, name=trial.id, title=f"{trial.canary_id} against {trial.champion_id}",
        state=trial.state.value, link=f"/trials/{quote(trial.id, safe='')}",
    )  # fmt: skip
