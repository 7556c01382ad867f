"""`coalmine demo`: the whole story on this machine, in under a minute.

The story itself is in `console.demo`; this file shows it. With `--json` the progress goes to standard error
and the summary alone to standard output. The story's settings are put over those of the user; it has its
own folder and namespace, and a private server unless COALMINE_REDIS_URL names one. Exit code 5 means that a
trial had no verdict in time.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from console.demo.board import board
from console.demo.story import StoryPlan, play
from console.demo.summary import document, summary
from console.invocation import AsJson, examples
from console.output.terminal import Terminal
from routing.errors import ConflictError
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine

#: The seed of the run that the documentation describes.
DEFAULT_SEED = 1

#: Seconds between two lines about a trial when the output is not a terminal.
LINE_SECONDS = 5.0


def demo(
    seed: Annotated[
        int, typer.Option(help="Seed of the draws and of the agent's luck; the same seed draws the same.")
    ] = DEFAULT_SEED,
    agents: Annotated[int, typer.Option(min=1, max=32, help="Agents that work at the same time.")] = 4,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the repository, issues and logs in this new folder."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Play the whole story: a worse version is rolled back, a better one graduates.

    Processes, git repository and CI command are real; only the agent is a script instead of a model.
    Nothing outside of one new folder is changed.
    """
    screen = _Screen(as_json=as_json)
    with _folder(keep) as folder, screen:
        played = play(StoryPlan(folder=folder, seed=seed, agents=agents), watch=screen.watch, say=screen.say)
    terminal = Terminal(as_json=as_json)
    terminal.answer(document(played), summary(played))


EXAMPLES = examples("demo", "demo --seed 7", "demo --keep story --json")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A new folder, removed at the end unless `keep` names it. `keep` must not exist yet.

    ConflictError for a folder that exists: nothing of the user's may be overwritten. A folder that is kept
    stays after an error too, since its logs say what happened.
    """
    if keep is not None:
        if keep.exists():
            message = f"{keep} exists already; name a folder that does not exist, or remove it"
            raise ConflictError(message)
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="coalmine-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Screen:
    """Prints the story while it is played: a live board on a terminal, otherwise a line every few seconds.

    Use it as a `with` block, which restores the terminal. All calls come from the thread that plays the
    story.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._console = Console(stderr=as_json)
        self._live: Live | None = None
        self._begun = time.monotonic()
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=5, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """Print a step of the story."""
        self._console.print(Text(f"{self._seconds:5.1f} s  {words}"), soft_wrap=True)

    def watch(self, parts: Coalmine, title: str, trial: Trial) -> None:
        """Show the trial's state; without a live board, at most every LINE_SECONDS.

        The end of a trial is always printed, also on a terminal, where the board disappears at the end.
        """
        if self._live is not None:
            self._live.update(board(parts, title, trial, self._seconds))
        if not trial.is_open:
            self.say(f"{title}: {trial.canary_id} {trial.state.value.replace('_', ' ')}. {trial.reason}")
        elif self._live is None and time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            evidence = parts.harvester.evidence(trial)
            self.say(
                f"{title}: {evidence.canary.settled} canary and {evidence.champion.settled} champion jobs "
                f"scored; evidence {evidence.worse.value:.1f} worse, {evidence.not_worse.value:.1f} not worse"
            )

    @property
    def _seconds(self) -> float:
        """Seconds since the story began, by the monotonic clock."""
        return time.monotonic() - self._begun
