"""Beginning and stopping backtests, for people and as steps of ways."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import ValidationError

from harvest.backtests.case import Case
from harvest.backtests.step_review import review_of
from harvest.evidence.policy import TrialPolicy
from routing.errors import CoalmineError, ConflictError, CorruptRecordError, InvalidInputError, NotFoundError
from routing.generator import Generator
from routing.store.backtests.backtest_store import Backtest, BacktestAnswer, BacktestState, BacktestStore
from routing.store.judging.judging_store import JudgingStore
from routing.store.trials.version_store import VersionStore
from routing.templates.version import Version, VersionState
from routing.templates.way import StepTakenError, WayMove
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.running import PairsSeen, request_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class BacktestOrder:
    """What is asked of a backtest."""

    canary: Version
    champion: Version
    cases: Sequence[Case]
    most: int | None = None  # cases that are worked on at most; None: all
    budget_usd: float | None = None
    fresh: bool = False  # whether kept results of the champion are passed over
    refuse: bool = False  # whether a version that is worse is rejected
    by: str = ""
    policy: TrialPolicy | None = None  # in place of the settings'
    move: WayMove | None = None  # of the version's way, when it is a step of one


class BacktestOpening:
    """Begins, finds and stops backtests. What follows is the tick's."""

    def __init__(
        self, *, store: BacktestStore, versions: VersionStore, generator: Generator,
        policy: Callable[[], TrialPolicy], judge: Callable[[Case], tuple[str, float] | None],
        judging: JudgingStore,
    ) -> None:  # fmt: skip
        self._store = store
        self._judging = judging
        self._versions = versions
        self._generator = generator  # of the order of cases
        self._policy = policy
        self._judge = judge

    def open(self, order: BacktestOrder) -> Backtest:
        """Begin a backtest; its cases are drawn, and kept for those who work on them.

        Raises ConflictError for two versions that cannot be compared and for a case that nothing judges,
        InvalidInputError for cases that cannot be worked on, and StepTakenError for a step that was opened
        by another process, or whose way has ended.
        """
        self._check(order)
        chosen = drawn(order.cases, self._generator)[: order.most]
        for case in chosen:
            self._store.keep_case(case.digest, case.model_dump_json())
        fields = {
            "champion": str(order.champion.number), "canary": str(order.canary.number),
            "policy": self._policy_for(order, len(chosen)).to_json(), "by": order.by,
            "cases": _json_list([case.digest for case in chosen]),
            "budget_usd": "" if order.budget_usd is None else repr(order.budget_usd),
            "fresh": "1" if order.fresh else "", "refuse": "1" if order.refuse else "",
        }  # fmt: skip
        data = {
            "version": order.canary.id, "champion": order.champion.id, "cases": len(chosen), "by": order.by,
        } | ({"step": order.move.after.place.document()} if order.move else {})  # fmt: skip
        return self._open(order, fields, data)

    def _open(self, order: BacktestOrder, fields: Mapping[str, str], data: Mapping[str, object]) -> Backtest:
        template = order.canary.template
        while True:
            before = int(self._versions.field(template, "backtests") or 0)
            name, answer = self._store.open(
                template=template, before=before, fields=fields, data=data, move=order.move
            )
            if answer is BacktestAnswer.OK:
                return self.find(name)
            if answer is BacktestAnswer.TAKEN:
                message = f"{order.canary.id} cannot take this step now; see `coalmine trial status`"
                raise StepTakenError(message)
            if answer is not BacktestAnswer.STALE:
                message = f"there is no template {template}"
                raise NotFoundError(message)

    def _check(self, order: BacktestOrder) -> None:
        champion, canary = order.champion, order.canary
        if champion.template != canary.template or champion.number == canary.number:
            message = f"{canary.id} and {champion.id} cannot be compared; name two versions of one template"
            raise ConflictError(message)
        if rejected := [one.id for one in (champion, canary) if one.state is VersionState.REJECTED]:
            message = f"{rejected[0]} was rejected, and gets no work; propose its content with a change"
            raise ConflictError(message)
        if not order.cases:
            message = "there are no cases to work on; make some with `coalmine backtest collect`"
            raise InvalidInputError(message)
        for case in order.cases:
            request_of(case, canary.template)
            if self._judge(case) is None:
                message = (
                    f"nothing can judge case {case.id}; set `judge.command`, or CI of the local forge, or "
                    "give the case a judge"
                )
                raise ConflictError(message)

    def _policy_for(self, order: BacktestOrder, cases: int) -> TrialPolicy:
        """The policy, without what past issues cannot have: fix-forwards and a time limit."""
        policy = order.policy or self._policy()
        guardrails = tuple(one for one in policy.guardrails if one.name != "fix_forwards")
        return policy.model_copy(
            update={"guardrails": guardrails, "max_canary_jobs": max(1, cases + 1), "max_days": 3650.0}
        )

    def find(self, reference: str) -> Backtest:
        """A backtest by its id, or the last one of a template. NotFoundError."""
        found = self._store.read(reference)
        if found is None:
            count = int(self._versions.field(reference, "backtests") or 0)
            found = self._store.read(f"{reference}-b{count}") if count else None
        if found is None:
            message = f"there is no backtest {reference}, and no template of that name has had one"
            raise NotFoundError(message)
        return found

    def of_template(self, template: str) -> list[Backtest]:
        """Every backtest that a template has had, oldest first; one that cannot be read is logged."""
        count = int(self._versions.field(template, "backtests") or 0)
        found = (self._readable(f"{template}-b{number}") for number in range(1, count + 1))
        return [one for one in found if one is not None]

    def running(self) -> list[Backtest]:
        """The backtests that have not ended; one that cannot be read is logged."""
        found = (self._readable(name) for name in self._store.open_ids())
        return [one for one in found if one is not None]

    def _readable(self, name: str) -> Backtest | None:
        try:
            return self._store.read(name)
        except CorruptRecordError as error:
            _log.error("backtest.unreadable", backtest=name, reason=str(error))
            return None

    def resume(self, run: Backtest, *, by: str, reason: str = "") -> tuple[Backtest, bool]:
        """Let a backtest decide again that checks of its health hold; and whether this did it.

        Recorded in its event with who did it. No change for one that nothing holds. ConflictError when it has
        ended, or another check has fired since it was read.
        """
        data = {
            "backtest": run.id, "version": run.canary_id, "checks": list(run.alarms), "by": by,
            "reason": reason,
        }  # fmt: skip
        answer = self._store.resume(run, data=data)
        if answer in {BacktestAnswer.OVER, BacktestAnswer.STALE}:
            why = "has ended" if answer is BacktestAnswer.OVER else "is held by another check now"
            message = f"backtest {run.id} {why}; nothing was changed, see `coalmine backtest show {run.id}`"
            raise ConflictError(message)
        return self.find(run.id), answer is BacktestAnswer.OK

    def stop(self, run: Backtest, *, by: str, reason: str = "") -> tuple[Backtest, bool]:
        """End a backtest without a verdict; and whether this did it.

        Its jobs that wait are not begun, those at work end, and nothing of it is judged any more.
        """
        while run.is_running:
            why = reason or f"stopped by {by}"
            answer = self._store.advance(
                run, lines=[], evidence="", state=BacktestState.STOPPED, reason=why,
                review=review_of(run, BacktestState.STOPPED, why, by=by),
                data={"backtest": run.id, "version": run.canary_id, "state": "stopped", "reason": why},
            )  # fmt: skip
            run = self.find(run.id)
            if answer is BacktestAnswer.OK:
                with suppress(CoalmineError, ValidationError):  # of a damaged line: its work expires
                    open_pairs = PairsSeen.of(run, self._store.pairs(run.id)).open
                    self._judging.drop([pair.id for pair in open_pairs])
                return run, True
        return run, False


class StepBacktests:
    """Begins, finds and stops the backtests of ways."""

    def __init__(self, opening: BacktestOpening, *, champion: Callable[[str], Version], folder: Path) -> None:
        self._opening = opening
        self._champion = champion
        self._cases = CaseFolder(folder)

    def open(self, canary: Version, policy: TrialPolicy, move: WayMove) -> Backtest:
        """Begin the backtest of a step against the champion.

        NotFoundError, InvalidInputError or ConflictError say what is wrong with its cases or their judge, and
        StepTakenError that somebody was faster.
        """
        return self._opening.open(
            BacktestOrder(
                canary=canary, champion=self._champion(canary.template), cases=self._cases.read(),
                most=policy.max_canary_jobs, budget_usd=policy.budget_usd or None, refuse=True,
                by=move.after.by, policy=policy, move=move,
            )
        )  # fmt: skip

    def find(self, run: str) -> Backtest:
        """One by its id, or NotFoundError."""
        return self._opening.find(run)

    def stop(self, run: Backtest, *, by: str, reason: str) -> None:
        """End it without a verdict, and its way with it."""
        self._opening.stop(run, by=by, reason=reason)


def drawn(cases: Sequence[Case], generator: Generator) -> list[Case]:
    """The cases in an order drawn by the generator (Fisher and Yates), each once."""
    left = sorted({case.digest: case for case in cases}.values(), key=lambda case: case.id)
    for place in range(len(left) - 1, 0, -1):
        other = int(generator.random() * (place + 1))
        left[place], left[other] = left[other], left[place]
    return left


def _json_list(names: Sequence[str]) -> str:
    return "[" + ",".join(f'"{name}"' for name in names) + "]"
