"""`python -m coalmine` and the program `coalmine`: the command line, with floors that are ours."""

import atexit
import gc

from coalmine import complaint, own_floors

#: New objects before the first look for garbage. A start makes 120,000 to 180,000 and hardly one of them is
#: garbage: with Python's usual 700 it would look at all of them many times, for a tenth of its time.
OBJECTS_BEFORE_COLLECTION = 200_000


def collect_late() -> None:
    """Look for garbage for the first time when that many objects were made, and then as usual.

    A server that went on so would keep the garbage of hundreds of requests, each of half a megabyte.
    """
    usual = gc.get_threshold()

    def as_usual(phase: str, _info: object) -> None:
        if phase == "stop":
            gc.callbacks.remove(as_usual)
            gc.set_threshold(*usual)

    gc.callbacks.append(as_usual)
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)


def main() -> None:
    """Run the command line and exit. A command is imported when it is run, so that may fail too."""
    collect_late()
    # Python looks for garbage twice more at its end, for a fifth of a command; the system takes it all.
    atexit.register(gc.freeze)
    own_floors()
    try:
        from console.cli import main as command_line  # noqa: PLC0415 - only now are the floors ours

        command_line()
    except ImportError as error:
        raise SystemExit(complaint(error) or str(error)) from error


if __name__ == "__main__":
    main()
