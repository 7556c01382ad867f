"""Versions and trials against a simple model: whatever people and harvests do, there is one champion."""

import random
from typing import Literal, TypeAlias

import fakeredis
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers, sampled_from

from routing.errors import ConflictError
from routing.store.trials.trial_store import AdvanceAnswer, TrialAdvance
from tests.fleets.stepped_fleet import SteppedFleet

NAME = "implementer"

Verdict: TypeAlias = Literal["hold", "graduate", "roll_back", "expire"]

#: What a verdict makes of a trial and of its canary.
VERDICTS = {"graduate": ("graduated", "champion"), "roll_back": ("rolled_back", "rejected"),
            "expire": ("expired", "pending")}  # fmt: skip

#: The event of each end that is not a person's wish about a version.
ENDS = {"candidate.auto_promoted", "candidate.rolled_back", "trial.stopped", "trial.expired"}

#: A version, by its age: 0 for the newest.
AGO = integers(0, 4)


class TrialMachine(RuleBasedStateMachine):
    """One template, people who decide about its versions, and two harvests at its trials."""

    def __init__(self) -> None:
        super().__init__()
        self.client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
        self.fleet = SteppedFleet(self.client, generator=random.Random(1))
        self.app = self.fleet.app
        self.fleet.add()
        self.versions = ["champion"]  # the state of each, by its number
        self.trials: list[str] = []  # the state of each
        self.canary = 0  # the version on trial, 0 for none
        self.revision = 0  # of the last trial
        self.graduated_by_people = 0

    def teardown(self) -> None:
        """Each trial began and ended with one event."""
        ended = sum(state != "open" for state in self.trials) - self.graduated_by_people
        assert sum(event.kind in ENDS for event in self.fleet.events()) == ended
        assert len(self.fleet.events("candidate.canary_started")) == len(self.trials)
        self.client.close()

    @rule(content=integers(2, 6))
    def propose(self, content: int) -> None:
        """New content is a new version; content that is known is none."""
        prompts = [version.snapshot.prompt for version in self.app.templates.versions(NAME)]
        made = self.fleet.propose(f"prompt {content}")
        if f"prompt {content}" not in prompts:
            self.versions.append("pending")
            assert made.number == len(self.versions)
        assert made.state == self.versions[made.number - 1]

    @rule(ago=AGO)
    def open(self, ago: int) -> None:
        """A pending version goes on trial while no other is."""
        number = self._number(ago)
        version = self.app.templates.find(f"{NAME}@v{number}")
        if self.canary == number:
            assert self.fleet.open(version).id == f"{NAME}-t{len(self.trials)}"
        elif self.canary or self._state(number) != "pending":
            with pytest.raises(ConflictError):
                self.fleet.open(version)
        else:
            self.fleet.open(version)
            self.trials.append("open")
            self.canary, self.revision = number, 0
            self._set(number, "canary")

    @rule(ago=AGO, what=sampled_from(["promote", "revert"]))
    def crown(self, ago: int, what: str) -> None:
        """A person makes a version champion: of an open trial the canary graduates, or nobody wins."""
        number = self._number(ago)
        state, step = self._state(number), getattr(self.app.templates, what)
        may = {"promote": {"pending", "canary"}, "revert": {"superseded"}}[what]
        if state not in may | {"champion"}:
            with pytest.raises(ConflictError):
                step(f"{NAME}@v{number}", by="ada")
            return
        assert step(f"{NAME}@v{number}", by="ada").changed == (state != "champion")
        if state == "champion":
            return
        if self.canary:
            is_canary = self.canary == number
            self._end("graduated" if is_canary else "stopped", "pending")
            self.graduated_by_people += is_canary
        self._crown(number)

    @rule(ago=AGO)
    def reject(self, ago: int) -> None:
        """A person rejects a version for good, and with the canary its trial."""
        number = self._number(ago)
        if self._state(number) in {"champion", "superseded"}:
            with pytest.raises(ConflictError):
                self.app.templates.reject(f"{NAME}@v{number}", by="ada")
            return
        was_rejected = self._state(number) == "rejected"
        assert self.app.templates.reject(f"{NAME}@v{number}", by="ada").changed == (not was_rejected)
        if self.canary == number:
            self._end("rolled_back", "rejected")
        self._set(number, "rejected")

    @precondition(lambda self: self.trials)
    @rule()
    def stop(self) -> None:
        """A person ends the last trial, if it has not ended."""
        trial = self.app.trials.find(f"{NAME}-t{len(self.trials)}")
        assert self.app.trials.stop(trial, by="ada").changed == bool(self.canary)
        if self.canary:
            self._end("stopped", "pending")

    @precondition(lambda self: self.trials)
    @rule(verdict=sampled_from(["hold", "hold", *VERDICTS]), late=integers(0, 1))
    def advance(self, verdict: Verdict, late: int) -> None:
        """A harvest's step counts if nobody was faster, and decides only a trial that is open."""
        trial = self.app.trials.find(f"{NAME}-t{len(self.trials)}")
        step = TrialAdvance(
            revision=self.revision - late, evidence="{}", share=0.5, bet={}, verdict=verdict, review="{}"
        )
        answer = self.app.trial_store.advance(trial, step)
        if late:
            assert answer is AdvanceAnswer.STALE
        elif not self.canary and verdict in VERDICTS:
            assert answer is AdvanceAnswer.CLOSED
        else:
            assert answer is AdvanceAnswer.OK
            self.revision += 1
            if verdict in VERDICTS:
                number, (ends, becomes) = self.canary, VERDICTS[verdict]
                self._end(ends, becomes if becomes != "champion" else "pending")
                if becomes == "champion":
                    self._crown(number)

    @rule()
    def enqueue(self) -> None:
        """A job goes to the champion, or to the canary of an open trial."""
        job = self.app.jobs.find(self.fleet.enqueue().job)
        assert self._state(job.version) in {"champion", "canary"}
        assert bool(job.trial) == bool(self.canary)

    @invariant()
    def the_records_say_what_the_model_says(self) -> None:
        """The state of each version and trial; and one champion."""
        found = self.app.templates.versions(NAME)
        assert [version.state for version in found] == self.versions
        assert self.app.templates.champion(NAME).number == self.versions.index("champion") + 1
        assert self.versions.count("champion") == 1
        last = len(self.trials)
        assert self.app.trial_store.open_ids() == ([f"{NAME}-t{last}"] if self.canary else [])
        if last:
            assert self.app.trials.find(f"{NAME}-t{last}").state == self.trials[-1]

    def _number(self, ago: int) -> int:
        return max(1, len(self.versions) - ago)

    def _state(self, number: int) -> str:
        return self.versions[number - 1]

    def _set(self, number: int, state: str) -> None:
        self.versions[number - 1] = state

    def _crown(self, number: int) -> None:
        self._set(self.versions.index("champion") + 1, "superseded")
        self._set(number, "champion")

    def _end(self, trial: str, canary: str) -> None:
        self._set(self.canary, canary)
        self.trials[-1], self.canary = trial, 0


TrialMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=25)
TestTrialsAgreeWithTheirModel = TrialMachine.TestCase
