"""The ways of versions to champion: at which of their steps they are, for people and scripts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from console.output.rendering import Prose
from console.output.trials.backtest_views import backtest_document
from console.output.trials.trial_status import trial_document
from harvest.trials.ways import Begun
from routing.errors import CoalmineError, UnavailableError
from routing.store.backtests.backtest_store import Backtest
from routing.templates.step import StepKind
from routing.templates.trial import Trial
from routing.templates.way import Way
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class WayNow:
    """A way, and what its present step is doing."""

    way: Way
    is_open: bool  # whether that step goes on; else the next one is to be opened
    is_held: bool = False  # whether checks of its health keep that step, a backtest, from its verdict

    @property
    def words(self) -> str:
        """`implementer@v3: step 1 of 3, backtest implementer-b1; then shadow, draw`, and what holds it."""
        way = self.way
        left = way.steps[way.at :]
        then = f"; then {', '.join(left)}" if left else ""
        done = "" if self.is_open else ", which it passed"
        done += ", which checks of its health hold" if self.is_held else ""
        return f"{way.canary_id}: {way.place.words or 'its only step'}, {step_words(way)}{done}{then}"

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {**self.way.document(), "open": self.is_open}


def step_words(way: Way) -> str:
    """`backtest implementer-b1`, `shadow implementer-t1`."""
    return f"{way.step.value} {way.run}"


def ways_now(parts: Coalmine, names: Iterable[str]) -> Iterator[WayNow]:
    """The ways of these templates; what cannot be read is left out, and logged by the tick."""
    for name in names:
        try:
            way = parts.ways.of_template(name)
            if way is not None:
                run = parts.ways.run_of(way)
                is_held = isinstance(run, Backtest) and run.is_in_doubt
                yield WayNow(way=way, is_open=_is_open(run), is_held=is_held)
        except UnavailableError:
            raise
        except CoalmineError:
            continue


def _is_open(run: Trial | Backtest) -> bool:
    return run.is_running if isinstance(run, Backtest) else run.is_open


def way_lines(ways: Iterable[WayNow]) -> Iterator[RenderableType]:
    """For people, those that no open trial shows: in a backtest, or between two steps."""
    for each in ways:
        if each.is_open and each.way.step is not StepKind.BACKTEST:
            continue
        where = f"see `coalmine backtest show {each.way.run}`" if each.way.step is StepKind.BACKTEST else ""
        yield Prose(f"{each.words}{f' ({where})' if where and each.is_open else ''}.")


def begun_document(begun: Begun | None) -> dict[str, Any]:
    """What was begun of a version; nulls for nothing."""
    run = None if begun is None else begun.run
    return {
        "trial": trial_document(run) if isinstance(run, Trial) else None,
        "backtest": backtest_document(run) if isinstance(run, Backtest) else None,
    }


def begun_words(begun: Begun) -> str:
    """`is on trial: implementer-t1`, with the step if there are several."""
    kind = "is on trial" if isinstance(begun.run, Trial) else "is backtested"
    return f"{kind}: {begun.run.id}{f', {begun.words}' if begun.words else ''}"


def way_of(parts: Coalmine, name: str) -> WayNow | None:
    """The way of a template, None where there is none or it cannot be read."""
    return next(iter(ways_now(parts, [name])), None)
