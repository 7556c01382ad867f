"""Reviews come back: what people ask for becomes one corrective turn of the job, and they get an answer.

Heard is who may write in the repository: a submitted review that requests changes, or words that name our
login. All that is there at one look is one turn, of the same job, version and conversation. Programs are
heard when they name us. `asked_for` decides; `ReviewTurns` asks the forge and carries it out.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from routing.forges.change_request import ChangeRequest, ChangeState, ReviewVerdict
from routing.forges.errors import ForgeError
from routing.forges.feedback import Feedback, Remark
from routing.forges.site import ForgeSite
from routing.jobs.correction import Correction
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from routing.jobs.turn import REVIEW_CHARACTERS, Repair, TurnKind
from routing.printable import printable
from routing.store.jobs.run_store import RunStore
from routing.store.signals.signal_store import SignalStore
from tasks.issues.landings import SeenWork, review_pause
from tasks.issues.sending_back import SendingBack, SentBack
from tasks.issues.site import place_of
from tasks.issues.writers import Writers

_log = structlog.get_logger(__name__)

#: Characters of a hunk that are shown with a remark: its end, where the remark stands.
HUNK_CHARACTERS = 1000

#: What stands between two pieces, and at the end of one that is longer than a turn has room for.
_BETWEEN, _CUT = "\n\n", "\n[The rest is too long and was cut here.]"

#: Characters of an agent's last words that are sent to reviewers.
LAST_WORDS_CHARACTERS = 1500


def asked_for(
    given: Sequence[Feedback], *, login: str, known: Sequence[str], may_write: Callable[[str], bool],
    bots: Collection[str] = (),
) -> tuple[Feedback, ...]:  # fmt: skip
    """What a turn is to deal with, oldest first. Whether an author `may_write` is asked last.

    A request for changes that its author has followed by an approval asks for nothing any more.
    """
    approved = {one.author: one.at for one in given if one.verdict is ReviewVerdict.APPROVED}

    def asks(one: Feedback) -> bool:
        if one.names(login):
            return True
        requests = one.verdict is ReviewVerdict.CHANGES_REQUESTED and not one.is_by_a_program(bots)
        return requests and not (one.author in approved and approved[one.author] > one.at)

    return tuple(one for one in given if one.id not in known and asks(one) and may_write(one.author))


def one_turn(asking: Sequence[Feedback]) -> tuple[Feedback, ...]:
    """The first pieces that one turn has room for, at least one: the others are for the next turn."""
    room = REVIEW_CHARACTERS
    taken: list[Feedback] = []
    for one in asking:
        room -= len(_said(one)) + len(_BETWEEN)
        if taken and room + len(_BETWEEN) < 0:
            break
        taken.append(one)
    return tuple(taken)


def review_text(feedback: Sequence[Feedback]) -> str:
    """What reviewers wrote, for the agent: text from outside, bounded; it says so where it was cut."""
    text = _BETWEEN.join(map(_said, feedback))
    if len(text) <= REVIEW_CHARACTERS:
        return text
    return text[: REVIEW_CHARACTERS - len(_CUT)] + _CUT


def _said(one: Feedback) -> str:
    requests = one.verdict is ReviewVerdict.CHANGES_REQUESTED
    what = "requests changes" if requests else "writes"
    parts = [f"{one.author} {what}:", one.body.strip()]
    for remark in one.remarks:
        hunk = remark.hunk[-HUNK_CHARACTERS:]
        parts += [f"At {remark.path or 'a file'}{_place(remark)}:", hunk, remark.body.strip()]
    return "\n".join(part for part in parts if part)


def _place(remark: Remark) -> str:
    """The line of a remark, of which file and commit it is; "" for a whole file, or one that is not known."""
    of = f" of commit {printable(remark.commit)[:12]}" if remark.commit else ""
    if remark.line is not None:
        return f", line {remark.line}{of}"
    return f", removed line {remark.old_line}{of}" if remark.old_line is not None else of


def _made(job: Job) -> str:
    """The commit that the turn for a review made, "" for none: later ones have nothing to do with it."""
    end = job.review_end or job.result.commit
    return end if end != job.reviewed_commit else ""


def answer_text(job: Job) -> str:
    """Our answer to reviewers after the turn: the commit, else the agent's last words, as data."""
    if _made(job):
        return f"Dealt with in {_made(job)}, by job `{job.id}`."
    said = printable(job.review_said or job.result.tail).strip()[-LAST_WORDS_CHARACTERS:]
    words = "\n".join(f"    {line}" for line in said.splitlines())
    return f"Job `{job.id}` made no new commit." + (f" Its agent said:\n\n{words}" if words else "")


def _open_change(job: Job, seen: SeenWork) -> ChangeRequest | None:
    """The open request of a job that waits; None while a turn runs, and once people have decided."""
    change = seen.change
    if job.state is not JobState.WAITING or change is None or change.state is not ChangeState.OPEN:
        return None
    return change


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewTurns:
    """Looks at the feedback of one waiting job at a time. Two looks send it back once, by its fence."""

    runs: RunStore
    signals: SignalStore
    back: SendingBack
    writers: Writers
    most_rounds: int  # turns that a job may have for reviews; 0: none

    def look(self, site: ForgeSite, job: Job, seen: SeenWork) -> bool:
        """Answer what a turn has dealt with, and send the job back for what is new; True when it was.

        While a turn runs, or once the request is closed, nothing is done; when it is merged, what is left is
        answered. Raises what the forge says of an open one.
        """
        change = _open_change(job, seen)
        if change is None:
            self._answer_merged(site, job, seen.change)
            return False
        if not (job.is_in_review or job.reviews or self._was_criticized(job) or self._is_due(job)):
            return False
        return self._take_up(site, job, change, site.forge.feedback(change)) is SentBack.MOVED

    def before_merge(self, site: ForgeSite, job: Job, seen: SeenWork) -> SentBack:
        """The same once more before we ask for the merge of a commit: people wrote while CI was at it.

        What they wrote and cannot be read now holds no merge up.
        """
        change = _open_change(job, seen)
        asked = self.runs.read(job.id).asked_to_merge(job.result.commit)
        if change is None or asked or not site.config.merges_green:
            return SentBack.NOTHING
        try:
            given = site.forge.feedback(change)
        except ForgeError as error:
            _log.warning("feedback.not_read", job=job.id, reason=str(error))
            return SentBack.NOTHING
        return self._take_up(site, job, change, given, own=True)

    def _take_up(
        self, site: ForgeSite, job: Job, change: ChangeRequest, given: Sequence[Feedback], *,
        own: bool = False,
    ) -> SentBack:  # fmt: skip
        """Answer what is answered, and send the job back for what asks for something."""
        self._answer(site, job, change, given)
        asking = asked_for(
            given, login=site.forge.own_login(), known=job.reviews,
            may_write=self.writers.at_one_look(site, place_of(job)[1]),
            bots=site.config.programs,
        )  # fmt: skip
        return self._send_back(site, job, change, one_turn(asking), own=own) if asking else SentBack.NOTHING

    def _is_due(self, job: Job) -> bool:
        """Whether work that CI is at is looked at: at once when it was reported, else with pauses."""
        notes, now = self.runs.read(job.id), self.signals.now()
        heard = notes.hastened_at > notes.feedback_at
        if not heard and now < notes.feedback_at + review_pause(job, now):
            return False
        self.runs.note(job.id, feedback_at=now)
        return True

    def _was_criticized(self, job: Job) -> bool:
        return any(fact.kind is SignalKind.CHANGES_REQUESTED for fact in self.signals.read(job.id))

    def _send_back(
        self, site: ForgeSite, job: Job, change: ChangeRequest, asking: Sequence[Feedback], *, own: bool
    ) -> SentBack:
        """One turn for all of it, or a person where none is left."""
        who = ", ".join(dict.fromkeys(printable(one.author) for one in asking))
        commit = job.result.commit
        correction = Correction(
            kind=TurnKind.REVIEW,
            repair=Repair(commit=commit, review=review_text(asking)),
            reason=f"{who} asked for changes at {(change.head or commit)[:12]}",
            most=self.most_rounds,
            reviews=(*job.reviews, *(one.id for one in asking)),
        )
        return self.back.send(site, job, correction, own=own)

    def _answer_merged(self, site: ForgeSite, job: Job, change: ChangeRequest | None) -> None:
        """Answer for a turn whose work was merged soon after its push; nobody is asked to look again."""
        if job.state is not JobState.SUCCEEDED or not job.review_end:
            return
        if change is None or change.state is not ChangeState.MERGED:
            return
        if set(job.reviews) <= set(self.runs.read(job.id).answered.split()):
            return
        try:
            given = site.forge.feedback(change)
        except ForgeError as error:  # what else is known of landed work is shown all the same
            _log.warning("feedback.not_read", job=job.id, reason=str(error))
            return
        asked = {"verdict": ReviewVerdict.COMMENTED}
        self._answer(site, job, change, [one.model_copy(update=asked) for one in given])

    def _answer(self, site: ForgeSite, job: Job, change: ChangeRequest, given: Sequence[Feedback]) -> None:
        """Answer each piece once; what cannot be answered, for whatever reason, holds nothing up."""
        answered = set(self.runs.read(job.id).answered.split())
        for one in given:
            if one.id not in job.reviews or one.id in answered:
                continue
            try:
                site.forge.answer(change, one, answer_text(job), resolved=bool(_made(job)))
            except ForgeError as error:
                _log.warning("review.not_answered", feedback=one.id, reason=str(error))
                continue
            answered.add(one.id)
            self.runs.note(job.id, answered=" ".join(sorted(answered)))
