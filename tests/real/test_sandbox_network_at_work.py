"""Networks of sandboxes at work: for a user without rights, and in real workers."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.jobs.turn import HindranceKind
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import fleet, until_state
from tests.real.passages import passages
from tests.real.test_sandbox import served_folder
from tests.waiting import run, wait_until

ROOT = Path(__file__).parents[2]


#: Run as another user: what a program in a sandbox sees and reaches, and what a setuid bubblewrap is.
AS_A_USER = """
import importlib.metadata, json, os, sys
from pathlib import Path
from routing.sandbox.bubblewrap_here import find_bubblewrap
from tests.real.sandbox_bench import SandboxBench
folder, setuid = Path(sys.argv[1]), sys.argv[2]
fetch = "import urllib.request as r; print(r.urlopen('http://%s/', timeout=9).status)" % sys.argv[3]
said = SandboxBench(folder=folder).run(f'python3 -c "{fetch}"; id -u', allow=[sys.argv[3]]).output_tail
print(json.dumps([os.getuid(), said, find_bubblewrap(setuid).why_not]))
"""


def test_a_user_without_rights_has_the_same(tmp_path: Path) -> None:
    """By the namespaces that are this user's; those of a setuid bubblewrap are root's, so it is refused."""
    if os.getuid() != 0:
        pytest.skip("root alone becomes another user; all other tests run as this one")
    bubblewrap, user = find_bubblewrap(), 65534
    # A folder that may have files that are setuid.
    aside = tempfile.TemporaryDirectory(prefix="a-user-", dir="/var/tmp")
    with aside as name, served_folder(tmp_path) as served:
        folder = Path(name)
        for path in (folder / "bin", folder / "own"):
            path.mkdir()
        folder.chmod(0o755)
        shutil.copy(bubblewrap.program, folder / "bin" / "bwrap")
        (folder / "bin" / "bwrap").chmod(0o4755)
        os.chown(folder / "own", user, user)
        needed = [Path(sys.base_prefix), ROOT, Path(bubblewrap.program).parent]
        become = f'exec setpriv --reuid {user} --regid {user} --clear-groups -- "$@"'
        (folder / "begin.sh").write_text("\n".join(["set -e", *passages(folder, needed), become, ""]))
        done = run(
            ["unshare", "--mount", "--propagation", "private", "sh", str(folder / "begin.sh"), sys.executable,
             "-c", AS_A_USER, str(folder / "own"), str(folder / "bin"), served],
            cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": str(folder / "own")},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    uid, said, why_not = json.loads(done.stdout.splitlines()[-1])
    assert (uid, said.split()) == (user, ["200", str(user)])
    assert "is setuid" in why_not


#: In place of bubblewrap: it works, but for sandboxes with a network to be made while a file is there.
SOMETIMES = """#!/bin/sh
case " $* " in *" --block-fd "*) test -e {flag} && echo no network today >&2 && exit 1 ;; esac
exec {program} "$@"
"""


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_network_that_cannot_be_made_costs_a_job_no_attempt(
    tmp_path: Path,
    redis_server: PrivateServer,
    redis_client: object,
    pool: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits with the reason, and its agent runs when that has passed; in workers of every pool."""
    assert redis_client
    flag, folder = tmp_path / "flag", tmp_path / "bin"
    flag.touch()
    folder.mkdir()
    program = folder / "bwrap"
    program.write_text(SOMETIMES.format(flag=flag, program=shlex.quote(find_bubblewrap().program)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    with fleet(tmp_path, redis_server.url, COALMINE_JOB__MAX_ATTEMPTS="1") as made:
        made.worker(pool=pool, concurrency=2)
        made.beat()
        parts = made.coalmine()
        content = Snapshot(
            prompt="work", command="grep -c 0100007F:0C38 /proc/net/tcp", sandbox=SandboxKind.BUBBLEWRAP,
            profile=SandboxProfile(network=NetworkMode.ALLOW_LIST),
        )  # fmt: skip
        parts.templates.add("confined", content)
        job = parts.mailbox.enqueue(JobRequest(template="confined", task="work")).job

        def has_waited() -> bool:
            found = parts.jobs.find(job)
            return bool(found.hindrance and found.hindrance.times > 1 and found.state is JobState.QUEUED)

        wait_until(has_waited, description="it was offered twice", timeout=60)
        found = parts.jobs.find(job)
        assert found.hindrance is not None
        assert (found.hindrance.kind, found.attempts) == (HindranceKind.MACHINE, 0)
        assert "no network today" in found.hindrance.words
        flag.unlink()
        until_state(parts, job, JobState.SUCCEEDED)
        assert parts.jobs.find(job).attempts == 1
