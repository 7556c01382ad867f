"""`coalmine issue …`: which issues are known, why one is not worked on, and what people decide about it.

`list`, `show` and `pause` ask the store alone and work while forges are away. `resume` is the one that
writes to a forge: it takes off the label that leaves an issue to people, before it changes the backlog, so
a forge that refuses leaves all as it was. `poll` only sends a request; a worker does the work.

An issue is named FORGE:REPOSITORY#NUMBER everywhere. Who decided is recorded with each decision.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Annotated

import typer
from redis.exceptions import RedisError

from console.completion import complete_issue
from console.decisions.issue_decisions import (
    LEFT_TO_PEOPLE,
    PRIORITY_WORDS,
    accept_repository,
    pause_issue,
    prioritize_issue,
    priority_named,
    resume_issue,
)
from console.details.issue_reasons import read_reasons
from console.input.issue_name import issue_named
from console.invocation import AsJson, examples, noted, opened, started
from console.output.issue_detail import IssueDetail, detail_of
from console.output.issue_views import (
    detail_document,
    issue_document,
    issue_view,
    issues_view,
    problems_view,
)
from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Gate
from routing.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from routing.forges.registry import KINDS
from routing.issues.issue import IssueProblem, IssueRef, is_repository_name
from routing.jobs.job import JobState
from routing.store.backlog.backlog_store import BacklogStore
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts

issue_app = typer.Typer(help="Issues of the backlog.", no_args_is_help=True)

#: States in the order in which they are listed; UNLISTED ones only with `--state`.
LISTED = (
    BacklogState.IN_PROGRESS,
    BacklogState.READY,
    BacklogState.BLOCKED,
    BacklogState.PENDING,
    BacklogState.ESCALATED,
    BacklogState.FROZEN,
)
UNLISTED = (BacklogState.CANCELLED, BacklogState.COMPLETED)

#: The longest name of a person that is taken, in characters.
LONGEST_NAME = 100

Issue = Annotated[
    str,
    typer.Argument(
        metavar="ISSUE",
        autocompletion=complete_issue,
        help="FORGE:REPOSITORY#NUMBER, for instance github:acme/shop#7; its number is enough where there is "
        "one repository.",
    ),
]
By = Annotated[str, typer.Option(metavar="NAME", help="Who decides. (default: your user name here)")]


@issue_app.command(
    "list",
    epilog=examples(
        "issue list",
        "issue list --state blocked --state escalated",
        "issue list --repository github:acme/shop --json",
        "issue list --forge gitea --limit 200",
    ),
)
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[BacklogState] | None,
        typer.Option(help="Only in this state; repeat for more. (default: all but cancelled and completed)"),
    ] = None,
    repository: Annotated[
        str, typer.Option(metavar="[FORGE:]REPOSITORY", help="Only issues of this repository.")
    ] = "",
    forge: Annotated[str, typer.Option(metavar="FORGE", help="Only issues of this forge.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="List at most this many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List known issues: those in progress, those ready in the order of dispatch, then the rest."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    store = coalmine.backlog_store
    places = _places(forge, repository, _forges(coalmine))
    chosen = [each for each in (*LISTED, *UNLISTED) if each in (state or LISTED)]
    found = list(islice(_items(store, chosen, places), limit))
    problems = _problems(coalmine, places)
    counts = {each: sum(store.count(each, place) for place in places) for each in (*LISTED, *UNLISTED)}
    terminal.answer(
        {
            "issues": [issue_document(item) for item in found],
            "counts": {each.value: count for each, count in counts.items()},
            "complete": len(found) >= sum(counts[each] for each in chosen),
            "problems": [
                {"repository": name, "where": one.where, "message": one.message}
                for name, listed in problems.items()
                for one in listed
            ],
        },
        *issues_view(found, read_reasons(coalmine, found), counts),
        *problems_view(problems),
    )


@issue_app.command(epilog=examples("issue show github:acme/shop#7", "issue show 7"))
def show(ctx: typer.Context, issue: Issue, *, as_json: AsJson = False) -> None:
    """Print all about an issue: its state and why, what it waits for, its metadata, its job, its events."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    ref = issue_named(issue, coalmine.settings.issue_sources)
    detail = _detail(coalmine, ref)
    terminal.answer(detail_document(detail), *issue_view(detail))
    for note in _show_notes(coalmine, detail.item):
        terminal.note(note)


@issue_app.command(
    epilog=examples("issue pause github:acme/shop#7", "issue pause github:acme/shop#7 --by ada")
)
def pause(ctx: typer.Context, issue: Issue, *, by: By = "", as_json: AsJson = False) -> None:
    """Take an issue out of the queue until it is resumed. A job that is working on it goes on to its end."""
    who = _who(ctx, by)
    coalmine, terminal = opened(ctx, as_json=as_json)
    ref = issue_named(issue, coalmine.settings.issue_sources)
    item, changed = pause_issue(coalmine, ref, by=who)
    if changed:
        noted(ctx, str(ref), by=who)
    terminal.answer(issue_document(item) | {"changed": changed}, _paused(item, changed=changed))
    for note in _pause_notes(coalmine, item):
        terminal.note(note)


@issue_app.command(
    epilog=examples("issue resume github:acme/shop#7", "issue resume github:acme/shop#7 --by ada")
)
def resume(ctx: typer.Context, issue: Issue, *, by: By = "", as_json: AsJson = False) -> None:
    """Put an issue back into the queue that was paused or waits for a person.

    The label that leaves an issue to people is taken off on its forge.
    """
    who = _who(ctx, by)
    coalmine, terminal = opened(ctx, as_json=as_json)
    ref = issue_named(issue, coalmine.settings.issue_sources)
    done = resume_issue(coalmine, ref, by=who)
    if done.changed:
        noted(ctx, str(ref), by=who)
    terminal.answer(
        issue_document(done.item) | {"changed": done.changed}, _resumed(done.item, changed=done.changed)
    )
    label = coalmine.settings.issues.watch.escalation_label
    for note in _resume_notes(done.before, done.item, label, off=done.label_off):
        terminal.note(note)


@issue_app.command(
    epilog=examples(
        "issue priority github:acme/shop#7 0", "issue priority github:acme/shop#7 labels --by ada"
    )
)
def priority(
    ctx: typer.Context,
    issue: Issue,
    urgency: Annotated[str, typer.Argument(metavar="PRIORITY", help=f"{PRIORITY_WORDS}.")],
    *,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Set how urgent an issue is, whatever its labels say. A job that was made for it keeps its place."""
    who, wished = _who(ctx, by), priority_named(urgency)
    coalmine, terminal = opened(ctx, as_json=as_json)
    ref = issue_named(issue, coalmine.settings.issue_sources)
    item, changed = prioritize_issue(coalmine, ref, wished, by=who)
    if changed:
        noted(ctx, str(ref), reason=urgency, by=who)
    done = f"has priority {item.metadata.priority} {'now' if changed else 'already'}"
    source = "" if wished is not None else ", as the issue says"
    terminal.answer(issue_document(item) | {"changed": changed}, f"{item.ref} {done}{source}.")


@issue_app.command(epilog=examples("issue poll github", "issue poll github --json"))
def poll(
    ctx: typer.Context,
    forge: Annotated[str, typer.Argument(metavar="FORGE", help="The forge's name, for instance github.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Have a worker compare the backlog with a forge now, before the poll interval ends."""
    # The one command of these that speaks to the broker: Celery takes as long to import as all else.
    from kombu.exceptions import KombuError  # noqa: PLC0415

    from tasks.broker import POLL  # noqa: PLC0415

    coalmine, terminal = opened(ctx, as_json=as_json)
    polled = coalmine.settings.poll_intervals
    if forge not in _forges(coalmine):
        message = f"no forge is called {forge[:40]!r}; there are: {', '.join(_forges(coalmine))}"
        raise NotFoundError(message)
    if forge not in polled:
        why = "it is not set up, or a kill switch is on; see `coalmine doctor`"
        message = f"the forge {forge} is not polled for issues: {why}"
        raise ConflictError(message)
    try:
        # One attempt: a person sees the error at once and can try again.
        coalmine.app.send_task(POLL, args=(forge,), queue="control", ignore_result=True, retry=False)
    except (KombuError, OSError, RedisError) as error:
        message = (
            f"the request to poll {forge} could not be sent to the broker ({error}); see `coalmine doctor`"
        )
        raise UnavailableError(message) from error
    terminal.answer({"forge": forge, "asked": True}, f"A worker of the queue control will poll {forge} now.")


@issue_app.command(epilog=examples("issue accept github:acme/shop", "issue accept github:acme/shop --by ada"))
def accept(
    ctx: typer.Context,
    repository: Annotated[
        str, typer.Argument(metavar="FORGE:REPOSITORY", help="As in the settings: github:acme/shop.")
    ],
    *,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Serve the repository that has the name now, where it is another one than was served before."""
    who = _who(ctx, by)
    coalmine, terminal = opened(ctx, as_json=as_json)
    changed = accept_repository(coalmine, repository)
    if changed:
        noted(ctx, repository, by=who)
    done = "the repository that has this name at the next look is served"
    said = done if changed else f"nothing was known of it; {done}"
    terminal.answer({"repository": repository, "changed": changed}, f"{repository}: {said}.")


def _problems(coalmine: Coalmine, places: Sequence[str]) -> dict[str, list[IssueProblem]]:
    """What the last polls found wrong in these places, by `forge:repo`; "" stands for all."""
    names = _forge_parts(coalmine).served_places()
    wanted = [name for name in names if {"", name, f"{name.partition(':')[0]}:"} & set(places)]
    return _forge_parts(coalmine).problems.read(wanted)


def _forge_parts(coalmine: Coalmine) -> ForgeParts:
    """The parts around forges, made for one command. None of these commands runs a CI."""
    return ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None)


def _paused(item: BacklogItem, *, changed: bool) -> str:
    """What `pause` did. An issue whose job runs leaves the queue only when that has ended."""
    if item.pausing:
        when = "leaves the queue when its job ends" if changed else "was paused already"
        return f"{item.ref} {when} ({item.pausing})"
    return f"{item.ref} {'is paused' if changed else 'was paused already'}: {item.reason}"


def _resumed(item: BacklogItem, *, changed: bool) -> str:
    """What `resume` did, with the state that the issue is in now."""
    done = "is" if changed else "was not paused; it is"
    reason = f": {item.reason}" if item.reason else ""
    return f"{item.ref} {done} {item.state.value.replace('_', ' ')}{reason}"


def _pause_notes(coalmine: Coalmine, item: BacklogItem) -> Iterator[str]:
    """Notes on a paused issue whose job still runs, or is about to be enqueued.

    The job may be unknown for a moment: a dispatcher takes the issue first and enqueues its job after that.
    """
    job = item.job if item.pausing else coalmine.job_store.active_on([str(item.ref)])[0][0]
    if job:
        yield f"job {job} goes on to its end; `coalmine job cancel {job}` ends it now"
    elif item.pausing:
        yield f"its job is about to be enqueued; `coalmine issue show {item.ref}` will name it"


def _show_notes(coalmine: Coalmine, item: BacklogItem) -> Iterator[str]:
    """Notes on what a person can do for an issue that waits for one, and on what its job waits for."""
    job = coalmine.job_store.read(item.job) if item.job and item.state is BacklogState.IN_PROGRESS else None
    if job is not None and job.state is not JobState.RUNNING and job.reason:
        yield f"its job {job.id} is {job.state.value}: {job.reason}"
    if item.state in LEFT_TO_PEOPLE:
        label = coalmine.settings.issues.watch.escalation_label
        resume = f"`coalmine issue resume {item.ref}`"
        yield f"to have an agent try again, take the label {label} off the issue, or use {resume}"
    elif item.paused:
        yield f"`coalmine issue resume {item.ref}` puts it back"
    elif item.refusal is not None and item.refusal.gate is Gate.UNTRUSTED:
        yield "a person who may write in the repository must take its label off and put it on again"


def _resume_notes(before: BacklogItem, item: BacklogItem, label: str, *, off: bool | None) -> Iterator[str]:
    """Notes on the label: that it was taken off, or that it must be where the forge was not asked.

    `off` is as in `IssueResumed`.
    """
    if off:
        yield f"the label {label} was taken off it"
    elif off is None and (before.job or before.state in LEFT_TO_PEOPLE) and before.state is not item.state:
        yield f"if the issue has the label {label}, take it off: an issue with it is left to people"


def _who(ctx: typer.Context, by: str) -> str:
    """Who decides: the name, or else the user; InvalidInputError for text that cannot be a name.

    The name is recorded and shown to others, so control characters and long texts are refused, not cut.
    """
    if by and (not by.strip() or not by.isprintable() or len(by) > LONGEST_NAME):
        message = f"--by is not a name; give at most {LONGEST_NAME} printable characters; nothing was written"
        raise InvalidInputError(message)
    return by.strip() or started(ctx).user


def _detail(coalmine: Coalmine, ref: IssueRef) -> IssueDetail:
    return detail_of(ref, coalmine.backlog_store, coalmine.events)


def _forges(coalmine: Coalmine) -> tuple[str, ...]:
    """The names that forges and trackers have; and those of kinds of forges, which older settings gave.

    Issues may still be stored under those. Each name comes once, in the order of the settings.
    """
    return tuple(dict.fromkeys([*(source.name for source in coalmine.settings.issue_sources), *KINDS]))


def _places(forge: str, repository: str, forges: Sequence[str]) -> list[str]:
    """The parts of the backlog that the options name, as `BacklogStore.listed` takes them.

    `""` is the whole backlog, `"github:"` a forge, `"github:acme/shop"` a repository. A repository without
    a forge means the one of that name on every forge. NotFoundError for a forge that does not exist,
    InvalidInputError for options that contradict each other.
    """
    named, colon, name = repository.rpartition(":")
    if colon:
        if forge and forge != named:
            message = (
                f"--forge {forge[:40]!r} and --repository {repository[:80]!r} name two forges; name only one"
            )
            raise InvalidInputError(message)
        forge = named
    if repository and not is_repository_name(name):
        message = (
            f"--repository {repository[:80]!r} is not the name of a repository; write [FORGE:]OWNER/NAME"
        )
        raise InvalidInputError(message)
    if forge and forge not in forges:
        message = f"no forge is called {forge[:40]!r}; there are: {', '.join(forges)}"
        raise NotFoundError(message)
    if not repository:
        return [f"{forge}:" if forge else ""]
    return [f"{each}:{name}" for each in ([forge] if forge else forges)]


def _items(
    store: BacklogStore, states: Sequence[BacklogState], places: Sequence[str]
) -> Iterator[BacklogItem]:
    """Items in the order in which they are listed; read lazily, so `--limit` bounds the cost."""
    for state in states:
        if state is BacklogState.READY:
            yield from _ready(store, places)
        else:
            for place in places:
                yield from store.listed(state, place)


def _ready(store: BacklogStore, places: Sequence[str]) -> Iterator[BacklogItem]:
    """Ready items of all the places in the order of dispatch; each repository's are in that order already.

    They are merged lazily, so listing the first few of many does not read the rest.
    """
    meant = [
        name
        for name in store.ready_repositories()
        if any(
            name == place or (place.endswith(":") and name.startswith(place)) or not place for place in places
        )
    ]
    return merge(*(store.ready(name) for name in meant), key=lambda item: item.order)
