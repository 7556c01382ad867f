"""Running backtests: cases are given out to both versions, and the paired test is asked after each pair.

One tick looks at all backtests. A step is computed from what is stored, and written if nobody else was
faster, so any number of processes may run it. Nothing is given out while real work waits. Pairs whose work is
all there go to the judge, like those of a trial.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from pydantic import ValidationError

from harvest.backtests.case import Case
from harvest.backtests.case_health import alarms_of, is_held, released_checks
from harvest.backtests.case_pair import CasePair, CaseResult, first_of, result_key
from harvest.backtests.step_review import review_of
from harvest.evidence.health import Alarm
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import advance
from harvest.evidence.verdict import Decision, Verdict
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.settling.score import ScoreRules
from routing.cost import NO_COST, Cost
from routing.errors import CoalmineError, ConflictError, CorruptRecordError, NotFoundError, UnavailableError
from routing.generator import Generator
from routing.jobs.job import JobRequest, Priority
from routing.jobs.mailbox import new_job_id
from routing.jobs.publisher import Publisher, shown
from routing.store.backtests.backtest_store import (
    Backtest,
    BacktestAnswer,
    BacktestState,
    BacktestStore,
    CaseJob,
    NewPair,
)
from routing.store.judging.judging_store import JudgingStore
from routing.store.signals.signal_store import SignalStore
from routing.templates.templates import Templates
from routing.templates.trial import Arm
from routing.templates.version import Version, VersionState
from tasks.backtests.pair_look import Found, PairLook, look_at

_log = structlog.get_logger(__name__)

_SECONDS_A_DAY = 86_400.0

#: How a verdict ends a backtest.
_ENDS = {
    Verdict.GRADUATE: BacktestState.NOT_WORSE,
    Verdict.ROLL_BACK: BacktestState.WORSE,
    Verdict.EXPIRE: BacktestState.UNDECIDED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsSeen:
    """What is stored of a backtest: the state of its test, and the pairs that are open."""

    state: PairEvidence
    open: list[CasePair]
    kept: frozenset[int]  # pairs in which a kept result stands for the champion's job

    @classmethod
    def of(cls, run: Backtest, stored: Sequence[str]) -> "PairsSeen":
        """From the stored state, and the pairs that were given out since it was written."""
        state = evidence_of(run)
        pairs = [CasePair.model_validate_json(line) for line in stored]
        state = advance(state, [pair.dispatched for pair in pairs[state.dispatched :]], []).state
        return cls(
            state=state, open=[pair for pair in pairs if state.worse.is_open(pair.index)],
            kept=frozenset(pair.index for pair in pairs if pair.kept),
        )  # fmt: skip


def evidence_of(run: Backtest) -> PairEvidence:
    """The state of a backtest's test as it is stored, or CorruptRecordError."""
    if run.evidence:
        return PairEvidence.from_json(run.evidence)
    return PairEvidence.begin(TrialPolicy.from_json(run.policy))


def request_of(case: Case, template: str) -> JobRequest:
    """What both versions are asked: the issue's text, as its job would have had it. InvalidInputError."""
    return JobRequest.checked(
        template=template, task=case.text, title=case.title, repository=case.repository, priority=Priority.LOW
    )


def own_jobs(pair: CasePair) -> list[str]:
    """The jobs that a pair has here: without the champion's where a kept result stands for it."""
    champion = [] if pair.kept else [pair.dispatched.champion_job]
    return [pair.dispatched.canary_job, *champion]


def _ended(run: Backtest, state: PairEvidence, end: BacktestState, reason: str) -> Mapping[str, object]:
    """What the event of an end says."""
    counts = state.counts
    return {
        "backtest": run.id, "version": run.canary_id, "champion": run.champion_id, "state": end.value,
        "reason": reason, "pairs": counts.settled, "champion_only": counts.champion_only,
        "canary_only": counts.canary_only,
    } | ({"step": run.place.document()} if run.place.steps else {})  # fmt: skip


def _held(run: Backtest, alarms: Sequence[Alarm]) -> Mapping[str, object]:
    """What the event says when a check of its health has fired."""
    return {
        "backtest": run.id, "version": run.canary_id, "champion": run.champion_id,
        "reasons": [alarm.sentence for alarm in alarms],
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningRules:
    """The settings that concern backtests."""

    scores: ScoreRules
    pairs_at_once: int
    max_attempts: int
    keep_seconds: float  # for which the champion's results are used again


class BacktestRuns:
    """Gives out cases, settles pairs and ends backtests.

    `tick` is called again and again, in any process. `judge` says which command and time limit judge a case,
    None for nobody. `is_busy` says whether real work waits.
    """

    def __init__(
        self, *, store: BacktestStore, signals: SignalStore, publisher: Publisher, generator: Generator,
        templates: Templates, judge: Callable[[Case], tuple[str, float] | None], is_busy: Callable[[], bool],
        cancel: Callable[[str, str], object], rules: RunningRules, judging: JudgingStore,
        ids: Callable[[], str] = new_job_id,
    ) -> None:  # fmt: skip
        self._store = store
        self._judging = judging
        self._signals = signals
        self._publisher = publisher
        self._generator = generator
        self._templates = templates
        self._judge = judge
        self._is_busy = is_busy
        self._cancel = cancel  # a job, and by whom
        self._rules = rules
        self._ids = ids

    def tick(self) -> None:
        """Bring every backtest up to date; one that cannot be read is logged, and the others go on."""
        for name in self._store.refusing():  # one that died before it had rejected the version
            self._refuse(name)
        at_work = 0
        for name in self._store.open_ids():
            try:
                at_work += self.advance(name, room=self._rules.pairs_at_once - at_work)
            except UnavailableError:
                raise
            except (CoalmineError, ValidationError) as error:
                _log.error("backtest.stuck", backtest=name, reason=str(error)[:500])

    def advance(self, name: str, *, room: int) -> int:
        """Bring one up to date, and give out at most so many cases; returns how many pairs are at work."""
        run = self._store.read(name)
        if run is None or not run.is_running:
            return 0
        seen = PairsSeen.of(run, self._store.pairs(name))
        looked = self._settle(run, seen)
        if looked is None:
            return 0
        state, run = looked
        open_pairs = len(state.worse.open)
        if is_held(run, state):
            return open_pairs  # until a person decides
        while open_pairs < room and state.dispatched < len(run.cases) and not self._is_busy():
            line = self._give_out(run, state)
            if line is None:
                break
            state, open_pairs = state.dispatch(line), open_pairs + 1
        return open_pairs

    def _settle(self, run: Backtest, seen: "PairsSeen") -> tuple[PairEvidence, Backtest] | None:
        """Count the pairs that have ended; None when the backtest has ended with them."""
        now, state, found = self._store.now(), seen.state, self._found(seen)
        lines: list[PairSettlement] = []
        days = (now - run.opened_at) / _SECONDS_A_DAY
        released = released_checks(run)
        decision = state.decide(elapsed_days=days, released=released)
        for pair in seen.open:
            if decision.verdict is not Verdict.HOLD:
                break  # the verdict comes with the pair that decides it
            look = look_at(pair, found, now=now, rules=self._rules.scores)
            line = look.line
            if line is None and look.awaits_judge:
                self._have_judged(pair, look)
            if line is None and look.aged is not None and pair.index not in state.health.late:
                line = look.aged
            if line is None:
                continue
            lines.append(line)
            state = advance(state, [], [line]).state
            decision = state.decide(elapsed_days=days, released=released)
        alarms = alarms_of(run, state)
        fired = tuple(alarm.check.value for alarm in alarms)
        end, reason = self._end(run, state, decision, seen, found)
        if not lines and end is None and fired == run.alarms:
            return state, run
        refuses = end is BacktestState.WORSE and run.refuse
        answer = self._store.advance(
            run, lines=[line.model_dump_json() for line in lines], evidence=state.to_json(), state=end,
            reason=reason, data=_ended(run, state, end, reason) if end else None, refuses=refuses,
            alarms=fired, alarm=_held(run, alarms),
            review=review_of(run, end, reason, counts=state.counts, decision=decision) if end else None,
        )  # fmt: skip
        if answer is not BacktestAnswer.OK:
            return None  # another process was faster: the next tick goes on from what it left
        lines = [line for line in lines if line.final]
        self._keep(seen, lines)
        done = {line.index for line in lines}
        self._judging.drop([pair.id for pair in seen.open if end is not None or pair.index in done])
        if end is None:
            return state, replace(run, revision=run.revision + 1, evidence=state.to_json(), alarms=fired)
        if refuses:
            self._refuse(run.id)
        self._end_jobs(run, seen, done)
        return None

    def _have_judged(self, pair: CasePair, look: PairLook) -> None:
        """Both sides have ended; whose work is looked at first is a coin's to say."""
        self._judging.begin(
            pair.id, champion="" if pair.kept else pair.dispatched.champion_job,
            canary=pair.dispatched.canary_job, first=first_of(self._generator.random()), seen=look.seen,
        )  # fmt: skip

    def _found(self, seen: "PairsSeen") -> Found:
        """The jobs of open pairs with their facts; those that cannot be read now are not in it."""
        jobs = [job for pair in seen.open for job in own_jobs(pair)]
        return {name: (job, facts) for name, job, facts in self._signals.read_due(jobs)}

    def _end(
        self, run: Backtest, state: PairEvidence, decision: Decision, seen: "PairsSeen", found: Found
    ) -> tuple[BacktestState | None, str]:
        """Whether a backtest ends, by its verdict or without one, and why."""
        if run.place.steps and not self._store.is_on_way(run):
            return BacktestState.STOPPED, f"the way of {run.canary_id} to champion ended meanwhile"
        if decision.verdict in _ENDS:
            return _ENDS[decision.verdict], " ".join(decision.reasons)
        canary = self._templates.find(run.canary_id)
        if canary.state is VersionState.REJECTED:
            return BacktestState.STOPPED, f"{canary.id} was rejected meanwhile"
        why = "" if is_held(run, state) else self._used_up(run, state, seen, found)
        if not why:
            return None, ""
        wrong = (alarm.sentence.removesuffix(".") for alarm in alarms_of(run, state))
        return BacktestState.UNDECIDED, ". ".join((why, *wrong))

    def _used_up(self, run: Backtest, state: PairEvidence, seen: "PairsSeen", found: Found) -> str:
        """What there is no more of, cases or money; "" while it can go on."""
        if not state.worse.open and state.dispatched >= len(run.cases):
            return f"all {len(run.cases)} cases were worked on, and do not decide it"
        if run.budget_usd is None:
            return ""
        used = self._spent(run, seen, found)
        if used.usd < run.budget_usd:
            return ""
        least = "" if used.is_whole else "at least "
        return f"it has spent {least}${used.usd:.2f} of ${run.budget_usd:.2f}"

    def _spent(self, run: Backtest, seen: "PairsSeen", found: Found) -> Cost:
        """What its own jobs have spent so far, those at work with their turns that have ended.

        A kept result was paid for by an earlier backtest. A half whose dollars nobody said counts as a turn
        of which they are unknown.
        """
        used = sum((job.cost for job, _ in found.values() if job is not None), NO_COST)
        for line in map(PairSettlement.model_validate_json, self._store.settlements(run.id)):
            for spent in (line.canary_spent, {} if line.index in seen.kept else line.champion_spent):
                if spent:
                    dollars = spent.get("cost_usd")
                    used += Cost(turns=1, usd=dollars or 0.0, unknown=int(dollars is None))
        return used

    def _refuse(self, name: str) -> None:
        """Reject the version of a backtest that has ended; a tick does it again if we die here.

        Only what ended it as worse comes here, so nothing that was stopped meanwhile rejects a version.
        """
        try:
            run = self._store.read(name)
            if run is not None:
                self._templates.reject(run.canary_id, by=f"backtest {run.id}", reason=run.reason)
        except (CorruptRecordError, ConflictError, NotFoundError) as error:
            # a person made it champion meanwhile, or it was champion before, or it cannot be read
            _log.warning("backtest.not_refused", backtest=name, reason=str(error))
        self._store.refused(name)

    def _end_jobs(self, run: Backtest, seen: "PairsSeen", done: set[int]) -> None:
        """Nobody needs the work of open pairs any more."""
        for pair in seen.open:
            if pair.index in done:
                continue
            for job in own_jobs(pair):
                try:
                    self._cancel(job, f"the end of backtest {run.id}")
                except CoalmineError as error:  # it has ended, or expired
                    _log.info("backtest.job_not_ended", job=job, reason=str(error))

    def _keep(self, seen: "PairsSeen", lines: Sequence[PairSettlement]) -> None:
        """Keep what both versions made of a case, for later backtests with one of them as champion."""
        pairs = {pair.index: pair for pair in seen.open}
        for line in lines:
            pair = pairs[line.index]
            sides = (
                ("" if pair.kept else pair.champion_key, pair.dispatched.champion_job, line.champion,
                 line.champion_spent),
                (pair.canary_key, pair.dispatched.canary_job, line.canary, line.canary_spent),
            )  # fmt: skip
            for key, job, score, used in sides:
                if key and score is not None:
                    result = CaseResult(job=job, score=score, spent=used, reason=line.reason, at=line.at)
                    self._store.keep_result(key, result.model_dump_json(), seconds=self._rules.keep_seconds)

    def _give_out(self, run: Backtest, state: PairEvidence) -> PairDispatched | None:
        """Give out the next case; None when another process was faster, or it has ended.

        ConflictError when the case is not kept any more, or nothing judges it.
        """
        digest = run.cases[state.dispatched]
        text = self._store.case(digest)
        case = Case.model_validate_json(text) if text is not None else None
        judge = self._judge(case) if case is not None else None
        if case is None or judge is None:
            why = "is no longer kept" if case is None else "has no judge"
            message = f"case {digest} of backtest {run.id} {why}; stop it: coalmine backtest stop {run.id}"
            raise ConflictError(message)
        champion, canary = self._templates.find(run.champion_id), self._templates.find(run.canary_id)
        keys = [result_key(one.id, one.content_hash, judge, digest) for one in (champion, canary)]
        kept = None if run.fresh else self._kept_result(keys[0])
        first = first_of(self._generator.random())
        pair = CasePair(
            case=digest,
            name=case.id,
            dispatched=PairDispatched(
                index=state.dispatched,
                champion_job=kept.job if kept else self._ids(),
                canary_job=self._ids(),
                first=first,
                discordance=state.bet.discordance,
                guardrail_discordances=dict(state.bet.guardrail_discordances),
            ),
            kept=kept,
            champion_key=keys[0],
            canary_key=keys[1],
        )
        request = request_of(case, run.template)
        answer = self._store.dispatch(
            NewPair(
                backtest=run.id,
                index=pair.index,
                line=pair.model_dump_json(),
                request=request.model_dump_json(exclude_defaults=True),
                champion=None if kept else self._job(pair.dispatched.champion_job, champion, digest),
                canary=self._job(pair.dispatched.canary_job, canary, digest),
                first="champion" if first is Arm.CHAMPION else "canary",
                settle_seconds=self._rules.scores.settle_deadline_seconds,
            )
        )
        return pair.dispatched if answer is BacktestAnswer.OK else None

    def _kept_result(self, key: str) -> CaseResult | None:
        """A result that was made lately: of another day's host it would be the host that is compared."""
        text = self._store.result(key)
        kept = CaseResult.model_validate_json(text) if text is not None else None
        return kept if kept and self._store.now() - kept.at <= self._rules.keep_seconds else None

    def _job(self, job: str, version: Version, case: str) -> CaseJob:
        about = shown(issue="", version=version.id, arm=None)
        pushed = self._publisher.prepared(job, "backtest", Priority.LOW, shown=about)
        key, message = pushed or ("", "")
        fields = {
            "template": version.template, "version": str(version.number), "pinned": "1", "case": case,
            "content_hash": version.content_hash, "source_commit": version.source_commit,
            "max_attempts": str(self._rules.max_attempts),
        }  # fmt: skip
        return CaseJob(id=job, fields=fields, queue_key=key, message=message)
