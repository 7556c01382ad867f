"""Why an issue is not dispatched: the first gate that is shut, with what it looked at.

Refusals are stored with their item and shown by `coalmine issue show`, so that nobody has to guess why
nothing happens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Gate(StrEnum):
    """The gates in the order in which they are tried. The values are stored, and shown to people."""

    KILL_SWITCH = "kill_switch"
    PAUSED = "paused"
    DISABLED = "disabled"
    NOT_ALLOWED = "not_allowed"
    TRUST_UNKNOWN = "trust_unknown"
    UNTRUSTED = "untrusted"
    BLOCKED = "blocked"
    REPOSITORY_BUSY = "repository_busy"
    MAIN_RED = "main_red"
    FLEET_FULL = "fleet_full"
    DAY_BUDGET = "day_budget"
    JOB_BUDGET = "job_budget"
    UNFIT = "unfit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why an issue, or with `issue` empty every issue, is not dispatched."""

    issue: str
    gate: Gate
    reason: str  # in words, for people
    inputs: Mapping[str, object]  # that the gate looked at

    def to_json(self) -> str:
        """The form in which it is stored with its issue."""
        return json.dumps(
            {"gate": self.gate, "reason": self.reason, "inputs": dict(self.inputs)}, default=str
        )

    @classmethod
    def from_json(cls, issue: str, text: str) -> Self:
        """Read what `to_json` wrote; anything else raises ValueError, KeyError or TypeError."""
        fields = json.loads(text)
        return cls(
            issue=issue,
            gate=Gate(fields["gate"]),
            reason=str(fields["reason"]),
            inputs=dict(fields["inputs"]),
        )
