"""What the answers of the store must look like, written without it: a job's lease, a tick's lock, a trial.

Each model is a state and a function from a state and an operation to the states that may follow. An operation
without an answer may also have changed nothing. Where time matters, a model knows only bounds: a lease that
was asked for at a moment ends no earlier than that moment plus its length.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from tests.chaos.linearizability import HistoryStep

#: Seconds by which the server's clock may run ahead of the one that the history is written by.
CLOCK_SLACK = 0.25

#: Where a job is, as far as its lease is concerned.
QUEUED, RUNNING, WAITING, FINAL = "queued", "running", "waiting", "final"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A job's lease: where the job is, the last fence, and until when nobody may take it over."""

    place: str = QUEUED
    fence: int = 0
    ends_not_before: float = -inf
    call: str = ""  # the claim that holds it, which may be made again
    moved: tuple[int, str] = (0, "")  # the fence and the place of the last move by a holder


def lease(state: Any, step: HistoryStep) -> Iterable[LeaseState]:
    """The lease of one job: `claim`, `renew`, `move` (a report, or the sweep's) and `other`."""
    assert isinstance(state, LeaseState)
    changes = {"claim": _claim, "renew": _renew, "move": _move, "other": _other}[step.name]
    yield from changes(state, step)
    if step.is_pending:
        yield state


def _claim(state: LeaseState, step: HistoryStep) -> Iterator[LeaseState]:
    asked, answer = step.asked, step.answer
    if step.is_pending or isinstance(answer, int):
        if state.place == RUNNING and state.call == asked["call"] and answer in {state.fence, None}:
            yield state
        may_be_won = state.place in {QUEUED, WAITING} or (
            state.place == RUNNING and step.ended_at + CLOCK_SLACK >= state.ends_not_before
        )
        fence = state.fence + 1 if step.is_pending else answer
        if may_be_won and fence > state.fence:
            yield LeaseState(
                place=RUNNING, fence=fence, call=asked["call"], moved=state.moved,
                ends_not_before=step.begun_at + asked["lease_seconds"],
            )  # fmt: skip
    elif answer == "taken":
        if state.place == RUNNING:
            yield state
    elif answer == "final":
        if state.place in {WAITING, FINAL}:
            yield state
    else:
        yield state


def _renew(state: LeaseState, step: HistoryStep) -> Iterator[LeaseState]:
    asked = step.asked
    holds = state.place == RUNNING and state.fence == asked["fence"]
    if step.is_pending or step.answer == "held":
        if holds:
            until = step.begun_at + asked["extend_seconds"]
            yield replace(state, ends_not_before=max(state.ends_not_before, until))
    elif not holds:
        yield state


def _move(state: LeaseState, step: HistoryStep) -> Iterator[LeaseState]:
    asked = step.asked
    fence, to, place = asked["fence"], asked["to"], asked["place"]
    if step.answer == "stale":
        if fence != state.fence:
            yield state
        return
    if not step.is_pending and step.answer != "ok":
        yield state
        return
    if fence and state.moved == (fence, to) and state.place == place and state.fence == fence:
        yield state  # it was made before, and its answer was lost
    if asked["expired"]:
        if state.place != RUNNING or step.ended_at + CLOCK_SLACK < state.ends_not_before:
            return
    elif fence and (fence != state.fence or state.place not in {RUNNING, WAITING}):
        return
    if state.place in asked["allowed"]:
        moved = (fence, to) if fence and state.place == RUNNING and not asked["expired"] else (0, "")
        yield replace(state, place=place, moved=moved, call="", ends_not_before=-inf)


def _other(state: LeaseState, step: HistoryStep) -> Iterator[LeaseState]:
    """A step of another kind that was carried out: sent back to its agent, or given to the champion."""
    if not (step.is_pending or step.answer):
        yield state
    elif step.asked["what"] == "send_back" and state.place == WAITING:
        yield replace(state, place=QUEUED)
    elif step.asked["what"] == "reroute" and state.place in {QUEUED, RUNNING}:
        yield replace(state, fence=state.fence + (state.place == RUNNING))


@dataclass(frozen=True, slots=True)
class LockState:
    """A tick's lock: its holder's token, and until when nobody else may have it."""

    holder: str = ""
    ends_not_before: float = -inf


def lock(state: Any, step: HistoryStep) -> Iterable[LockState]:
    """The lock of one tick: `begin`, which answers with a token or "", and `end`."""
    assert isinstance(state, LockState)
    if step.name == "begin":
        is_free = not state.holder or step.ended_at + CLOCK_SLACK >= state.ends_not_before
        if (step.is_pending or step.answer) and is_free:
            yield LockState(step.answer or "unknown", step.begun_at + step.asked["lease_seconds"])
        if step.is_pending or not step.answer:
            yield state
    else:
        holds = state.holder == step.asked["token"]
        if (step.is_pending or step.answer == "given back") and holds:
            yield LockState()
        if (step.is_pending or step.answer == "goes on") and holds:
            yield LockState(step.asked["token"], step.begun_at + step.asked["lease_seconds"])
        if step.is_pending or step.answer == "ran out":
            yield state


@dataclass(frozen=True, slots=True)
class TestState:
    """The test of a trial: its revision, and whether the trial has ended."""

    __test__ = False  # pytest would collect it

    revision: int = 0
    is_open: bool = True


def trial(state: Any, step: HistoryStep) -> Iterable[TestState]:
    """The record of one trial: `advance`, a compare-and-set by its revision, and `stop`."""
    assert isinstance(state, TestState)
    if step.is_pending:
        yield state
    if step.name == "stop":
        if step.is_pending or step.answer:
            if state.is_open:
                yield replace(state, is_open=False)
        elif not state.is_open:
            yield state
        return
    is_current = step.asked["revision"] == state.revision
    decides = step.asked["verdict"] != "hold"
    if (step.is_pending or step.answer == "ok") and is_current and (state.is_open or not decides):
        yield TestState(state.revision + 1, state.is_open and not decides)
    elif (step.answer == "stale" and not is_current) or (step.answer == "closed" and not state.is_open):
        yield state
