"""`coalmine doctor`: what is wrong with the fleet, and how to repair it.

It is the only command that goes on when settings or servers are wrong: what is wrong is its answer, and the
exit code is 1 only for a problem.
"""

from typing import Annotated

import typer

from console.boundary import ExitCode
from console.doctor.doctor import examine
from console.doctor.health_board import finding_document
from console.invocation import AsJson, examples, started
from console.output.rendering import table, word
from console.output.terminal import Terminal
from routing.store.redis.health import Status

doctor_app = typer.Typer()


@doctor_app.command(epilog=examples("doctor", "doctor --json"))
def doctor(
    ctx: typer.Context,
    *,
    wait: Annotated[
        float,
        typer.Option(min=0.1, max=60, metavar="SECONDS", help="How long to wait for workers to answer."),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Check settings, servers, workers and forges: what is wrong and how to repair it.

    The exit code is 1 when there is a problem.
    """
    findings = examine(started(ctx), wait_seconds=wait)
    # Status is ordered mildest first, so the place in it says how bad a finding is.
    worst = max((list(Status).index(finding.status) for finding in findings), default=0)
    document = {
        "status": list(Status)[worst].value,
        "findings": [finding_document(found) for found in findings],
    }
    rows = ((word(found.status), found.check, found.message, found.remedy) for found in findings)
    Terminal(as_json=as_json).answer(document, table(("!", "!check", "finding", "remedy"), rows))
    if list(Status)[worst] is Status.PROBLEM:
        raise typer.Exit(ExitCode.FAILED)
