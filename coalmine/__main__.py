"""`python -m coalmine` and the program `coalmine`: the command line, with floors that are ours."""

from coalmine import complaint, own_floors


def main() -> None:
    """Run the command line and exit. A command is imported when it is run, so that may fail too."""
    own_floors()
    try:
        from console.cli import main as command_line  # noqa: PLC0415 - only now are the floors ours

        command_line()
    except ImportError as error:
        raise SystemExit(complaint(error) or str(error)) from error


if __name__ == "__main__":
    main()
