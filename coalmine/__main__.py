"""`python -m coalmine` and the program `coalmine`: the command line, with floors that are ours."""

import atexit
import gc

from coalmine import complaint, own_floors

#: New objects between two looks for garbage. A start makes 120,000 to 180,000 and hardly one of them is
#: garbage: with Python's usual 700 it would look at all of them many times, for a tenth of its time.
OBJECTS_BEFORE_COLLECTION = 200_000


def main() -> None:
    """Run the command line and exit. A command is imported when it is run, so that may fail too."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
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
