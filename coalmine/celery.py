"""`python -m coalmine.celery worker`: Celery's program with our application.

What `celery -A coalmine` is, with two differences. Celery's own program puts the working folder first on
`sys.path` while it imports the application. And it imports all commands that any package adds to it, Flower's
and an interactive shell's among them, in every worker: here `worker` and `beat` are started without the
others. `coalmine up` starts its processes with this.
"""

import os
import sys
from importlib import import_module

from celery.bin.base import CLIContext

import coalmine

#: Where Celery has the commands that run for as long as a fleet does.
_LASTING = {"worker": "celery.bin.worker", "beat": "celery.bin.beat"}


def main() -> None:
    """Run Celery's program with the arguments of this process, and exit."""
    app, (name, *words) = coalmine.app, sys.argv[1:] or ["--help"]
    if name not in _LASTING:
        sys.exit(app.start([name, *words]))
    command = getattr(import_module(_LASTING[name]), name)
    context = CLIContext(app=app, no_color=bool(os.environ.get("NO_COLOR")), workdir=None, quiet=False)
    sys.exit(command.main(words, prog_name=f"celery {name}", obj=context, standalone_mode=False))


if __name__ == "__main__":
    main()
