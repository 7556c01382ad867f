"""What ended an attempt at a job: how its turn ended, or why it had none.

The values are stored, in the job's result and in mail, and are printed.
"""

from enum import StrEnum


class Ending(StrEnum):
    """What ended a turn."""

    RESULT = "result"  # the process, by itself
    STALL = "stall"  # no event for too long
    DEADLINE = "deadline"  # the time limit
    OUTPUT_LIMIT = "output_limit"  # too many bytes printed
    BUDGET = "budget"  # too much spent
    MEMORY_LIMIT = "limit: memory"  # too much of it, all processes together
    PROCESS_LIMIT = "limit: processes"  # too many
    FILE_LIMIT = "limit: file size"  # one file was too large
    DISK_LIMIT = "limit: disk"  # too much in its folders
    PARSER_ERROR = "parser_error"  # the runtime raised an exception while it read what the agent said
    CANCEL = "cancel"  # a person, or the forge, no longer wants the job
    LEASE_LOST = "lease_lost"  # another worker may have the job
    DRAIN = "drain"  # its worker shuts down


class NotRun(StrEnum):
    """Why an attempt had no turn, or none that anybody saw end."""

    BUSY = "busy"  # another turn of the session is being run somewhere
    NOTHING_TO_SAY = "nothing_to_say"  # neither a prompt nor mail
    OVER = "over"  # the session is over, or there is none, and mail alone begins none
    FAULT = "fault"  # repository, forge, secret, store or machine were not as a turn needs them
    STORE_AWAY = "store_away"  # the store did not answer before anything was paid for
    JOB_LIMIT = "job_limit"  # the job has had all the turns, or all the money, that it may have
    WORKER_LOST = "worker_lost"  # the lease ran out: nobody renewed it


#: Endings by a limit of what a turn may take of its machine.
OF_RESOURCES = frozenset({Ending.MEMORY_LIMIT, Ending.PROCESS_LIMIT, Ending.FILE_LIMIT, Ending.DISK_LIMIT})

#: Endings that do not discredit an agent's word that it is done: it said so, and did not exit.
OVERSTAYED = frozenset({Ending.STALL, Ending.DEADLINE})


def stored_ending(value: str) -> Ending | None:
    """The ending that a record names; None for "" and for one of another version of Coalmine."""
    try:
        return Ending(value)
    except ValueError:
        return None
