"""Trials in Redis: their state, their ledger and the step that ends them."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store
from routing.templates.trial import Arm, Terms, Trial, TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialAdvance:
    """The next state of a trial's test, computed from `revision`."""

    revision: int
    evidence: str  # JSON
    share: float  # of the next draw
    baselines: dict[str, str]  # fields `baseline`, `baseline:STRATUM`, `guardrail_baselines` and their values
    verdict: Literal["hold", "graduate", "roll_back", "expire"] = "hold"
    reason: str = ""
    review: str = ""  # JSON
    point: str = ""  # JSON, for the plot over time
    contradicted: bool = False


class TrialStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def open(
        self, *, name: str, canary: int, trial: str, before: int, terms: Terms, data: dict[str, Any],
    ) -> str:  # fmt: skip
        """Open a trial of a pending version."""
        keys = self.keys
        return str(self.run(
            "trial_open",
            [keys.template(name), keys.trial(trial), keys("trials", "open"), keys("events")],
            name, canary, trial, before, repr(terms.share), terms.policy, repr(terms.baseline),
            json.dumps(terms.guardrail_baselines), json.dumps(data), terms.strata,
            repr(terms.settle_deadline_seconds),
            doing=f"opening trial {trial}",
        ))  # fmt: skip

    def stop(self, *, name: str, trial: str, reason: str, data: dict[str, Any]) -> str:
        """End a trial without a verdict."""
        keys = self.keys
        return str(self.run(
            "trial_stop",
            [keys.template(name), keys.trial(trial), keys("trials", "open"), keys("events")],
            trial, reason, json.dumps(data),
            doing=f"stopping trial {trial}",
        ))  # fmt: skip

    def advance(self, trial: Trial, step: TrialAdvance) -> str:
        """Write the test's next state and its verdict, if nobody else did since it was read."""
        keys, name = self.keys, trial.template
        return str(self.run(
            "trial_advance",
            [keys.trial(trial.id), keys.template(name), keys("trials", "open"), keys("champions"),
             keys("rejected"), keys("events"), keys.reviews(name), keys.history(trial.id)],
            trial.id, name, step.revision, step.evidence, repr(step.share),
            json.dumps([part for pair in step.baselines.items() for part in pair]), step.verdict,
            step.reason, step.review, step.point, "1" if step.contradicted else "",
            doing=f"advancing trial {trial.id}",
        ))  # fmt: skip

    def read(self, trial: str) -> Trial | None:
        """One trial; None when there is none."""
        with redis_errors(f"reading trial {trial}"):
            fields = self.redis.hgetall(self.keys.trial(trial))
        return parsed_trial(trial, fields) if fields else None

    def open_ids(self) -> list[str]:
        """The trials that are open now."""
        with redis_errors("listing open trials"):
            return sorted(self.redis.smembers(self.keys("trials", "open")))

    def moved_ids(self) -> list[str]:
        """The trials with settlements that may not have been read yet."""
        with redis_errors("listing trials with news"):
            return sorted(self.redis.smembers(self.keys("trials", "moved")))

    def all_read(self, trial: str, seen: int) -> None:
        """Forget that a trial moved, unless it has more settlements than were read."""
        self.run(
            "trial_read",
            [self.keys("trials", "moved"), self.keys.settlements(trial)],
            trial, seen,
            doing=f"closing the news of trial {trial}",
        )  # fmt: skip

    def dispatches(self, trial: str, start: int = 0, most: int = -1) -> list[str]:
        """JSON records in order of dispatch, from `start`; at most `most` unless that is negative."""
        return self._slice(self.keys.dispatches(trial), start, most)

    def settlements(self, trial: str, start: int = 0, most: int = -1) -> list[str]:
        """JSON records in order of arrival, from `start`."""
        return self._slice(self.keys.settlements(trial), start, most)

    def history(self, trial: str) -> list[dict[str, Any]]:
        """The points of the plot of evidence over time."""
        return [json.loads(line) for line in self._slice(self.keys.history(trial), 0, -1)]

    def _slice(self, key: str, start: int, most: int) -> list[str]:
        with redis_errors("reading a ledger"):
            return list(self.redis.lrange(key, start, -1 if most < 0 else start + most - 1))


def parsed_trial(identifier: str, fields: dict[str, str]) -> Trial:
    """The stored hash as a record."""
    return Trial(
        id=identifier,
        template=fields["template"],
        champion=int(fields["champion"]),
        canary=int(fields["canary"]),
        state=TrialState(fields["state"]),
        share=float(fields["share"]),
        strata=fields["strata"],
        settle_deadline_seconds=float(fields["settle_deadline_seconds"]),
        policy=fields["policy"],
        opened_at=float(fields["opened_at"]),
        closed_at=float(fields["closed_at"]) if "closed_at" in fields else None,
        reason=fields.get("reason", ""),
        review=fields.get("review", ""),
        evidence=fields.get("evidence", ""),
        revision=int(fields["revision"]),
        dispatched={arm: int(fields.get(f"dispatched:{arm}", 0)) for arm in Arm},
        contradicted=fields.get("contradicted") == "1",
    )
