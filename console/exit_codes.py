"""What the exit codes of the command line mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Errors of the tree in `routing.errors` carry the codes 1 to 6; a test holds them together."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    CORRUPT = 6
    INTERNAL = 70
    INTERRUPTED = 130


#: Every exit code with its meaning, for the help and the reference.
MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, or it had been done before",
    ExitCode.FAILED: "the answer is no: doctor found a problem, a watched job did not succeed",
    ExitCode.BAD_INPUT: "what was asked for, or a setting, is malformed; nothing was written",
    ExitCode.NOT_FOUND: "there is no such template, version, trial, job or issue",
    ExitCode.CONFLICT: "not allowed in the state that the thing is in; nothing was written",
    ExitCode.UNAVAILABLE: "a server or program did not answer; the same command may succeed later",
    ExitCode.CORRUPT: "a stored record is damaged, or a replay differs from it",
    ExitCode.INTERNAL: "a fault of Coalmine's own; COALMINE_DEBUG=1 shows where",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}
