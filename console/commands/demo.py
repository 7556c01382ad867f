"""`coalmine demo`: the whole story on this machine, in under a minute.

The story itself is in `console.demo`; this file shows it. With `--json` the progress goes to standard error
and the summary alone to standard output. On a terminal its pages stay until somebody has read them.

No setting of the user reaches the story: neither a file, nor a variable, nor git's own configuration. It has
its own folder and a private server, and refuses options that name others. Exit code 5 means that a trial had
no verdict in time.
"""

import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.live import Live

from console.demo.board import board
from console.demo.story import NO_GIT_CONFIGURATION, Played, StoryPlan, play
from console.demo.summary import document, summary
from console.invocation import AsJson, examples, started
from console.output.rendering import Prose
from console.output.terminal import Terminal
from routing.errors import ConflictError
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine
from tasks.settings.refused import PREFIX

#: The seed of the run that the documentation describes.
DEFAULT_SEED = 1

#: Seconds between two lines about a trial when the output is not a terminal.
LINE_SECONDS = 5.0

#: Seconds after which the pages end by themselves where nobody ends them.
STAY_SECONDS = 1_800.0

#: Signals that end the demonstration as Ctrl-C does, so that it leaves nothing.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


demo_app = typer.Typer()


@demo_app.command(epilog=examples("demo", "demo --seed 7", "demo --keep story --json"))
def demo(
    ctx: typer.Context,
    seed: Annotated[
        int, typer.Option(help="Seed of the draws and of the agent's luck; the same seed draws the same.")
    ] = DEFAULT_SEED,
    agents: Annotated[int, typer.Option(min=1, max=32, help="Agents that work at the same time.")] = 4,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the repository, issues and logs in this new folder."),
    ] = None,
    *,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--no-stay",
            help="Leave its pages open at the end, until Enter or Ctrl-C. (default: on a terminal)",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play the whole story: a worse version is rolled back, a better one graduates.

    Processes, git repository and CI command are real; only the agent is a script instead of a model.
    Its pages show both trials as they go on, and their address is printed first. Nothing outside of one new
    folder is changed.
    """
    started(ctx).refuse_options("the demonstration has settings and a server of its own")
    _forget_settings()
    screen = _Screen(as_json=as_json)
    is_seen = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    stays, terminal = is_seen if stay is None else stay, Terminal(as_json=as_json)

    def show(played: Played) -> None:
        screen.close()
        terminal.answer(document(played), summary(played, stays=stays))
        if stays and played.pages:
            terminal.note("The pages stay open until you press Enter.")
            _wait_for_enter(STAY_SECONDS)

    with _ended_by_signals(), _folder(keep) as folder, screen:
        plan = StoryPlan(folder=folder, seed=seed, agents=agents)
        play(plan, watch=screen.watch, say=screen.say, show=show)


def _wait_for_enter(seconds: float) -> None:
    """Return at a line of standard input, at Ctrl-C, or after so long; its end says nothing."""
    until = time.monotonic() + seconds
    try:
        select.select([sys.stdin], [], [], seconds)
        if not sys.stdin.readline():  # its end: nobody types there
            threading.Event().wait(max(0.0, until - time.monotonic()))
    except KeyboardInterrupt:
        return  # what it is for


def _forget_settings() -> None:
    """Take the user's settings out of this process, and so out of all that it starts: ours, and git's."""
    for name in list(os.environ):
        if name.startswith((PREFIX, "GIT_", "CELERY_")):
            del os.environ[name]
    os.environ.update(NO_GIT_CONFIGURATION)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block by an error, so that all is closed; the exit code is 128 + n.

    A signal that is ignored stays ignored: nohup relies on that. Further ones do not disturb the closing.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    taken = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        self.close()

    def close(self) -> None:
        """Take the board away, and leave the terminal as it was; a second time does nothing."""
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """Print a step of the story."""
        # A line of a file or a pipe is as long as it is.
        prose = Prose(f"{self._seconds:5.1f} s  {words}")
        self._console.print(prose, crop=self._console.is_terminal)

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
                f"settled; evidence {evidence.worse.value:.1f} worse, "
                f"{evidence.not_worse.value:.1f} not worse"
            )

    @property
    def _seconds(self) -> float:
        """Seconds since the story began, by the monotonic clock."""
        return time.monotonic() - self._begun
