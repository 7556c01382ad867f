"""`python -m coalmine` and the program `coalmine`: the command line, with floors that are ours."""

from coalmine import complaint, own_floors


def main() -> None:
    """Run the command line and exit."""
    own_floors()
    try:
        from console.cli import main as command_line  # noqa: PLC0415 - only now are the floors ours
    except ImportError as error:
        raise SystemExit(complaint(error) or str(error)) from error
    command_line()


if __name__ == "__main__":
    main()
