"""`python -m coalmine.celery worker`: Celery's program with our application.

What `celery -A coalmine` is, with one difference: Celery's own program puts the working folder first on
`sys.path` while it imports the application. `coalmine up` starts its processes with this.
"""

import sys

import coalmine


def main() -> None:
    """Run Celery's program with the arguments of this process, and exit."""
    sys.exit(coalmine.app.start(sys.argv[1:]))


if __name__ == "__main__":
    main()
