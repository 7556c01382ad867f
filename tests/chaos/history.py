"""The history of the steps that must exclude each other, written by the processes that ask for them.

Each process appends lines to a file of its own: one before it asks, one when it has an answer. A line that is
never followed by the other is of a process that was killed, or of a server that did not answer. All processes
of a machine have one monotonic clock.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

from routing.jobs.job import Job, JobState
from routing.store.fleet.tick_store import TickStore, TickTurn
from routing.store.jobs.correction_store import CorrectionStore
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.move import Move
from routing.store.trials.trial_store import TrialStore
from tests.chaos.linearizability import HistoryStep
from tests.chaos.models import FINAL


class Recorder:
    """Writes the history of one process; a forked child begins a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count(1)
        self._files: dict[int, int] = {}
        self._making = threading.Lock()

    def asked(self, key: str, name: str, asked: Mapping[str, Any]) -> int:
        """Note a question; returns its number, for the answer."""
        number = next(self._numbers)
        self._write({"n": number, "key": key, "name": name, "asked": asked, "at": time.monotonic()})
        return number

    def answered(self, number: int, answer: Any) -> None:
        """Note the answer."""
        self._write({"n": number, "answer": answer, "at": time.monotonic()})

    def _write(self, line: Mapping[str, Any]) -> None:
        os.write(self._file(), json.dumps(line).encode() + b"\n")

    def _file(self) -> int:
        pid = os.getpid()
        if pid not in self._files:
            with self._making:
                if pid not in self._files:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                    self._files[pid] = os.open(self._folder / f"{pid}-{time.monotonic_ns()}.jsonl", flags)
        return self._files[pid]


def read_history(folder: Path) -> dict[str, list[HistoryStep]]:
    """The operations of each thing, of all processes."""
    found: defaultdict[str, list[HistoryStep]] = defaultdict(list)
    for file in sorted(folder.glob("*.jsonl")):
        for key, operation in _operations(file):
            found[key].append(operation)
    return dict(found)


def _operations(file: Path) -> Iterator[tuple[str, HistoryStep]]:
    asked: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, Any]] = {}
    for text in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # the last line of a killed process
            line = json.loads(text)
            (asked if "key" in line else answers)[line["n"]] = line
    for number, line in asked.items():
        answer = answers.get(number, {})
        yield line["key"], HistoryStep(
            name=line["name"], asked=line["asked"], answer=answer.get("answer"), begun_at=line["at"],
            ended_at=answer.get("at", inf), by=file.stem.partition("-")[0],
        )  # fmt: skip


def record_steps(recorder: Recorder) -> None:
    """Have this process write the history of claims, renewals, moves, ticks and trials."""
    _around(JobStore, "claim", lambda call: _claim(recorder, call))
    _around(JobStore, "renew", lambda call: _renew(recorder, call))
    _around(JobStore, "move", lambda call: _move(recorder, call))
    _around(JobStore, "reroute", lambda call: _other(recorder, call, "reroute"))
    _around(CorrectionStore, "send_back", lambda call: _other(recorder, call, "send_back"))
    _around(TickStore, "begin", lambda call: _begin(recorder, call))
    _around(TickStore, "end", lambda call: _end(recorder, call))
    _around(TrialStore, "advance", lambda call: _advance(recorder, call))
    _around(TrialStore, "stop", lambda call: _stop(recorder, call))


def _around(store: type, method: str, made: Callable[[Any], Any]) -> None:
    setattr(store, method, made(getattr(store, method)))


def place_of_state(state: str) -> str:
    """Where a job in this state is, in the words of the model."""
    return FINAL if JobState(state).is_final else str(JobState(state).value)


def _claim(recorder: Recorder, call: Any) -> Any:
    def claim(self: JobStore, job: str, **given: Any) -> Any:
        asked = {"lease_seconds": given["lease_seconds"], "call": given.get("call_id", "")}
        number = recorder.asked(f"job {job}", "claim", asked)
        found = call(self, job, **given)
        recorder.answered(number, found.fence if isinstance(found, Job) else found.value)
        return found

    return claim


def _renew(recorder: Recorder, call: Any) -> Any:
    def renew(self: JobStore, held: Any, *, extend_seconds: float) -> Any:
        if not extend_seconds:  # it only looks, twice a second
            return call(self, held, extend_seconds=extend_seconds)
        numbers = [
            recorder.asked(f"job {job}", "renew", {"fence": fence, "extend_seconds": extend_seconds})
            for job, fence in held
        ]
        found = call(self, held, extend_seconds=extend_seconds)
        for number, status in zip(numbers, found, strict=True):
            recorder.answered(number, "held" if status.held else "lost")
        return found

    return renew


def _move(recorder: Recorder, call: Any) -> Any:
    def move(self: JobStore, step: Move) -> Any:
        asked = {
            "fence": step.fence or 0, "to": step.to.value, "place": place_of_state(step.to),
            "allowed": sorted({place_of_state(state) for state in step.allowed}), "expired": step.expired,
        }  # fmt: skip
        number = recorder.asked(f"job {step.job}", "move", asked)
        found = call(self, step)
        recorder.answered(number, found.answer.value)
        return found

    return move


def _other(recorder: Recorder, call: Any, what: str) -> Any:
    def other(self: Any, job: Job, *given: Any, **named: Any) -> Any:
        number = recorder.asked(f"job {job.id}", "other", {"what": what})
        found = call(self, job, *given, **named)
        recorder.answered(number, bool(found))
        return found

    return other


def _begin(recorder: Recorder, call: Any) -> Any:
    def begin(self: TickStore, name: str, *, lease_seconds: float, **given: Any) -> Any:
        number = recorder.asked(f"tick {name}", "begin", {"lease_seconds": lease_seconds})
        turn = call(self, name, lease_seconds=lease_seconds, **given)
        recorder.answered(number, "" if turn is None else turn.token)
        return turn

    return begin


def _end(recorder: Recorder, call: Any) -> Any:
    def end(self: TickStore, turn: TickTurn, **given: Any) -> Any:
        asked = {"token": turn.token, "lease_seconds": turn.lease_seconds}
        number = recorder.asked(f"tick {turn.name}", "end", asked)
        found = call(self, turn, **given)
        recorder.answered(number, found.value)
        return found

    return end


def _advance(recorder: Recorder, call: Any) -> Any:
    def advance(self: TrialStore, trial: Any, step: Any) -> Any:
        asked = {"revision": step.revision, "verdict": step.verdict}
        number = recorder.asked(f"trial {trial.id}", "advance", asked)
        found = call(self, trial, step)
        recorder.answered(number, found.value)
        return found

    return advance


def _stop(recorder: Recorder, call: Any) -> Any:
    def stop(self: TrialStore, *, trial: str, **given: Any) -> Any:
        number = recorder.asked(f"trial {trial}", "stop", {})
        found = call(self, trial=trial, **given)
        recorder.answered(number, found)
        return found

    return stop
