"""What must come of each recorded run, as a table."""

from dataclasses import dataclass, field
from typing import Final, Literal

from tasks.agents.runtimes.agent_event import Usage

#: Who ends the run: the program itself, the turn's time limit, or a cancel.
Ends = Literal["by itself", "at the deadline", "by a cancel"]


@dataclass(frozen=True, kw_only=True)
class Expects:
    """What a turn must record when the program does what the recording says."""

    recording: str
    ends: Ends = "by itself"
    clean: bool = False
    code: int | None = None  # exit code; None when we ended it
    session: str | None = None  # beginning of the id that is kept
    cost: float | None = None  # US dollars of this turn; None: the program did not say
    tokens: tuple[int, int] = (0, 0)  # input and output of this turn
    says: str = ""  # in the tail of the output
    status: int | None = None  # HTTP status that the model's API is known to have answered
    api_error: bool = False  # whether the model's API is known to have failed
    lost: bool = False  # the session to resume was not there
    mismatch: bool = False  # another session was begun in silence
    billed: Usage = field(default_factory=Usage)  # what earlier turns of the session consumed


_CENTS: Final = 0.000405  # what one call of the recorded model costs
_ONCE: Final = Usage(cost_usd=_CENTS, input_tokens=100, output_tokens=7)

_CLAUDE: Final = [
    Expects(recording="claude-1-basic", clean=True, code=0, session="37e45e0a", cost=_CENTS, tokens=(100, 7),
            says="You said: Say hi"),
    Expects(recording="claude-2-tool-acceptEdits", clean=True, code=0, session="fe1d73eb", cost=2 * _CENTS,
            tokens=(200, 14), says="Running it."),
    Expects(recording="claude-3-tool-skip-perm-root", code=1, says="root/sudo"),
    Expects(recording="claude-3c-allowed-tools", clean=True, code=0, session="d0aa1aa3", cost=2 * _CENTS,
            tokens=(200, 14)),
    Expects(recording="claude-4-resume", clean=True, code=0, session="85cecb5e", cost=_CENTS,
            tokens=(100, 7), billed=_ONCE, says="second message"),
    Expects(recording="claude-5-resume-unknown", cost=0.0, code=1, session="4b6e1f68", lost=True,
            says="No conversation found"),
    Expects(recording="claude-5-resume-garbage", cost=0.0, code=1, session="not-a-uuid", lost=True),
    Expects(recording="claude-6-queued", clean=True, code=0, session="deb97cff", cost=2 * _CENTS,
            tokens=(200, 14), says="queued while busy"),
    Expects(recording="claude-7-err400", cost=0.0, code=1, session="b5068d7f", says="stub error 400",
            status=400, api_error=True),
    Expects(recording="claude-7-err401", ends="at the deadline", session="546b80e8", status=401,
            api_error=True),
    Expects(recording="claude-7-err429-max2", cost=0.0, code=1, session="cf9da45b", says="(429)", status=429,
            api_error=True),
    Expects(recording="claude-7-err500-max2", cost=0.0, code=1, session="c61c32fa", status=500,
            api_error=True),
    Expects(recording="claude-0-apidown", ends="at the deadline", session="15fc6d79", api_error=True),
    Expects(recording="claude-9-noapikey", cost=0.0, code=1, session="a1149488", says="Not logged in",
            api_error=True),
    Expects(recording="claude-8-sig-SIGKILL", code=-9, session="718db75f"),
    Expects(recording="claude-8-sig-SIGTERM", code=143, session="29fd729b"),
    Expects(recording="claude-8-sig-SIGTERM", ends="by a cancel", session="29fd729b"),
    # Interrupted: exit code 0, and yet not clean. What it cost is not in the session's total later on.
    Expects(recording="claude-8-sig-SIGINT", code=0, session="90df70ab", cost=0.00039, tokens=(100, 6)),
    Expects(recording="claude-8-resume-after-SIGINT", clean=True, code=0, session="90df70ab", cost=_CENTS,
            tokens=(100, 7), billed=Usage(cost_usd=0.00039, input_tokens=100, output_tokens=6)),
    # Killed within a tool: nothing was reported then, so the session's total brings it in now.
    Expects(recording="claude-8-orphan-resume-SIGTERM", clean=True, code=0, session="0e181a4d",
            cost=2 * _CENTS, tokens=(200, 14)),
    # Killed after its result: billed then, and not again.
    Expects(recording="claude-8-sigterm-in-tool", code=143, session="b59aaaa5", cost=2 * _CENTS,
            tokens=(200, 14)),
    Expects(recording="claude-8-resume-after-tool-kill", clean=True, code=0, session="b59aaaa5", cost=_CENTS,
            tokens=(100, 7), billed=_ONCE + _ONCE),
    Expects(recording="claude-9-emptystdin", code=0),
    Expects(recording="claude-11-maxturns", code=1, session="2c98656d", cost=_CENTS, tokens=(100, 7),
            says="maximum number of turns"),
    Expects(recording="claude-11-unknownflag", code=1, says="unknown option"),
    Expects(recording="claude-stdin-two", clean=True, code=0, session="87bdb887", cost=_CENTS,
            tokens=(100, 7), says="first mail\n\nsecond mail"),
]  # fmt: skip

_CODEX: Final = [
    Expects(recording="codex-2-stdin", clean=True, code=0, session="01a1f9f6-26af", tokens=(100, 7),
            says="prompt from stdin"),
    Expects(recording="codex-5-tool-bypass", clean=True, code=0, session="01a1f9f6-8fe0", tokens=(200, 14)),
    Expects(recording="codex-3-resume-stdin", clean=True, code=0, session="01a1f9f6-1185", tokens=(100, 7),
            billed=Usage(input_tokens=200, output_tokens=14), says="third by stdin"),
    Expects(recording="codex-4-resume-unknown", code=1, session="aa73217c", lost=True,
            says="no rollout found"),
    # Not a UUID: a new thread in silence, to which nothing was billed before.
    Expects(recording="codex-4-resume-garbage", clean=True, code=0, session="01a1f9f6-7afa", mismatch=True,
            tokens=(100, 7), billed=Usage(input_tokens=50, output_tokens=5)),
    Expects(recording="codex-6-err400", code=1, session="01a1f9f7-2bc4", says="stub error 400",
            api_error=True),
    Expects(recording="codex-6-err401", code=1, session="01a1f9f7-2cfa", says="401", status=401,
            api_error=True),
    Expects(recording="codex-6-err429", code=1, session="01a1f9f7-2f14", says="429", status=429,
            api_error=True),
    Expects(recording="codex-6-err500", code=1, session="01a1f9f7-3454", says="high demand",
            api_error=True),
    Expects(recording="codex-7-SIGINT", code=1, session="01a1f9f7-5a15"),
    Expects(recording="codex-7-SIGKILL", code=-9, session="01a1f9f7-7c7a"),
    Expects(recording="codex-7-SIGTERM", ends="by a cancel", session="01a1f9f7-37f4"),
    Expects(recording="codex-7-resume-SIGTERM", clean=True, code=0, session="01a1f9f7-37f4",
            tokens=(100, 7)),
    Expects(recording="codex-10-conc2", code=1, session="01a1fa10-03b2", lost=True,
            says="already has an active writer"),
    Expects(recording="codex-8-badflag", code=2, says="unexpected argument"),
    Expects(recording="codex-stdin-tool", clean=True, code=0, session="01a1fbaf-b14d", tokens=(200, 14)),
    Expects(recording="codex-stdin-two", clean=True, code=0, session="01a1fbaf-ad61", tokens=(100, 7),
            says="first mail\n\nsecond mail"),
    Expects(recording="codex-stdin-err529", code=1, session="01a22c48-bcab", says="529", status=529,
            api_error=True),
    Expects(recording="codex-stdin-empty", code=1, says="No prompt provided"),
    Expects(recording="codex-stdin-apidown", ends="at the deadline", session="01a1fbaf-c513", api_error=True),
]  # fmt: skip

_GEMINI: Final = [
    Expects(recording="gemini-1-basic", clean=True, code=0, session="fc74222a", tokens=(100, 7),
            says="Hello from the stub"),
    Expects(recording="gemini-2-resume", clean=True, code=0, session="fc74222a", tokens=(100, 7),
            billed=Usage(input_tokens=100, output_tokens=7), says="second"),
    Expects(recording="gemini-3-tool", clean=True, code=0, session="cc18033f", tokens=(200, 14)),
    Expects(recording="gemini-4-resume-unknown", code=42, session="e916a385", lost=True,
            says="Invalid session identifier"),
    Expects(recording="gemini-5-err400", code=144, session="db5d5f71", says="stub error 400", status=400,
            api_error=True),
    # SIGTERM: exit code 0 without a result.
    Expects(recording="gemini-6-sigterm", code=0, session="093d36b4", says="w14"),
    Expects(recording="gemini-6-sigterm", ends="by a cancel", session="093d36b4", says="w14"),
    Expects(recording="gemini-stdin", clean=True, code=0, session="dac18f4c", tokens=(100, 7)),
    Expects(recording="gemini-stdin-resume", clean=True, code=0, session="dac18f4c", tokens=(100, 7),
            billed=Usage(input_tokens=100, output_tokens=7), says="second message"),
    Expects(recording="gemini-stdin-tool", clean=True, code=0, session="074d5f06", tokens=(200, 14)),
    Expects(recording="gemini-stdin-two", clean=True, code=0, session="85b6c390", tokens=(100, 7),
            says="first mail\n\nsecond mail"),
    Expects(recording="gemini-stdin-resume-unknown", code=42, session="e916a385", lost=True),
    Expects(recording="gemini-stdin-err400", code=144, session="d749cb4c", status=400, api_error=True),
    # Both are retried for minutes, and reported on standard error alone.
    Expects(recording="gemini-stdin-err429", ends="at the deadline", session="7779f109", status=429,
            api_error=True),
    Expects(recording="gemini-stdin-apidown", ends="at the deadline", session="c03c0d0b", api_error=True),
    Expects(recording="gemini-stdin-empty", code=42, says="No input provided"),
]  # fmt: skip

_OPENCODE: Final = [
    Expects(recording="opencode-1-basic", clean=True, code=0, session="ses_e060785a9", tokens=(100, 7),
            says="Say hi"),
    Expects(recording="opencode-2-resume", clean=True, code=0, session="ses_e060785a9", tokens=(100, 7),
            billed=Usage(input_tokens=100, output_tokens=7), says="second"),
    Expects(recording="opencode-3-tool", clean=True, code=0, session="ses_e06076457", tokens=(200, 14)),
    Expects(recording="opencode-4-resume-unknown", code=1, session="ses_doesnotexist", lost=True,
            says="Session not found"),
    Expects(recording="opencode-5-err400", ends="at the deadline"),
    Expects(recording="opencode-5-err401", ends="at the deadline"),
    Expects(recording="opencode-6-SIGINT", code=-2, session="ses_e0604c14a"),
    Expects(recording="opencode-6-SIGTERM", code=-15, session="ses_e0604d937"),
    Expects(recording="opencode-6-SIGTERM", ends="by a cancel", session="ses_e0604d937"),
    Expects(recording="opencode-stdin", clean=True, code=0, session="ses_e045239ab", tokens=(100, 7)),
    Expects(recording="opencode-stdin-resume", clean=True, code=0, session="ses_e045239ab", tokens=(100, 7),
            billed=Usage(input_tokens=100, output_tokens=7), says="second message"),
    Expects(recording="opencode-stdin-tool", clean=True, code=0, session="ses_e0451a41d", tokens=(200, 14)),
    Expects(recording="opencode-stdin-two", clean=True, code=0, session="ses_e0451cf7e", tokens=(100, 7),
            says="first mail\n\nsecond mail"),
    Expects(recording="opencode-stdin-resume-unknown", code=1, session="ses_doesnotexist", lost=True),
    Expects(recording="opencode-stdin-err429", ends="at the deadline"),
    # With its log: six tries in 80 seconds, or one as late as the provider says.
    Expects(recording="opencode-logs-err401", code=1, session="ses_dd3b9de07", status=401, api_error=True),
    Expects(recording="opencode-logs-err429", code=1, session="ses_dd3bacdd4", status=429, api_error=True),
    Expects(recording="opencode-logs-err529", code=1, session="ses_dd3bb1992", status=529, api_error=True),
    Expects(recording="opencode-logs-err429-after", ends="at the deadline", api_error=True),
    Expects(recording="opencode-stdin-empty", code=1, says="must provide a message"),
]  # fmt: skip

OUTCOMES: Final = [*_CLAUDE, *_CODEX, *_GEMINI, *_OPENCODE]
