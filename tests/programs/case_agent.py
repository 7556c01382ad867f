"""An agent of cases: it looks for the answer wherever one may be, and does what its version's prompt says.

What it found it commits, so that a test can read it, as nothing else of a confined agent gets out. The prompt
decides: one that says SKILL corrects the function that its issue names, any other one only looks around.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harvest.backtests.case import Case
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.jobs.job import Job
from tasks.agents.pairs.sealed_repository import place_of_case
from tasks.agents.repository.place import RepositoryPlace, shadows_beside

#: What the prompt of a version says that corrects what it is asked to.
SKILL = "Correct the line that is wrong."

#: The file that has what was found.
FOUND = "found.json"

_PROGRAM = r"""import json, os, pathlib, re, socket, subprocess, sys

order = json.loads(sys.argv[1])
prompt = pathlib.Path(os.environ["COALMINE_PROMPT_FILE"]).read_text()
kept = pathlib.Path(".git")


def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout


def is_shown(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
    except OSError:
        return False


def answers(address):
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


files = [file for file in kept.rglob("*") if file.is_file() and "objects" not in file.parts[1:2]]
found = {
    "objects": git("cat-file", "--batch-check=%(objectname)", "--batch-all-objects").split(),
    "refs": git("for-each-ref", "--format=%(refname) %(objectname)").splitlines(),
    "remotes": git("remote", "--verbose").splitlines() + git("fetch", "--all", "--dry-run").splitlines(),
    "alternates": [str(file) for file in (kept / "objects" / "info").glob("*alternates")],
    "logs": [str(file) for file in (kept / "logs").rglob("*") if file.is_file()],
    "kept": "\n".join(file.read_text(errors="replace") for file in files if file.suffix != ".sample"),
    "names": sorted(str(file) for file in pathlib.Path().rglob("*") if ".git" not in file.parts),
    "prompt": prompt,
    "environment": sorted(f"{name}={value}" for name, value in os.environ.items()),
    "shown": [path for path in order["paths"] if is_shown(path)],
    "reached": [address for address in order["addresses"] if answers(address)],
}
pathlib.Path("found.json").write_text(json.dumps(found))
if "Correct the line that is wrong." in prompt:
    name = re.search(r"Correct (\w+)\b", prompt.replace("Correct the line", ""))[1]
    file, wrong, right = order["fixes"][name]
    module = pathlib.Path(file)
    head, mark, tail = module.read_text().partition(f"def {name}(")
    module.write_text(head + mark + tail.replace(wrong, right, 1))
"""


@dataclass(frozen=True, slots=True)
class Fix:
    """What is wrong in one function, and what it should be."""

    file: str
    wrong: str
    right: str


class Found(BaseModel):
    """What an agent saw before it began to work."""

    model_config = ConfigDict(frozen=True)

    objects: tuple[str, ...]  # of its repository, reachable or not
    refs: tuple[str, ...]
    remotes: tuple[str, ...]
    alternates: tuple[str, ...]
    logs: tuple[str, ...]
    kept: str  # all texts of git's own folder, without objects
    names: tuple[str, ...]  # of the files in its tree
    prompt: str
    environment: tuple[str, ...]
    shown: tuple[str, ...]  # of the paths that it looked at
    reached: tuple[str, ...]  # of the addresses that it called


def case_agent(
    folder: Path, fixes: Mapping[str, Fix], *, paths: Sequence[Path] = (), addresses: Sequence[str] = ()
) -> str:
    """Write the program, and return the command of both versions."""
    program = folder / "case-agent.py"
    program.write_text(_PROGRAM)
    order = {
        "fixes": {name: (fix.file, fix.wrong, fix.right) for name, fix in fixes.items()},
        "paths": [str(path) for path in paths],
        "addresses": list(addresses),
    }
    return shlex.join([sys.executable, str(program), json.dumps(order)])


def found_by(job: Job, work_dir: Path) -> Found:
    """What the agent of a job of a case found, from the commit that is kept of it on this host."""
    whole = RepositoryPlace(work_dir=work_dir, repository=job.request.repository, limits=GitLimits())
    kept = Git(shadows_beside(place_of_case(whole, job.case).mirror))
    return Found.model_validate_json(kept.raw("show", f"{job.result.commit}:{FOUND}"))


def leads(found: Found, case: Case, whole: Git) -> list[str]:
    """All that leads from what an agent saw to the true change of its case; `whole` has all of its past."""
    allowed = set(whole("rev-list", "--objects", "--no-object-names", case.base).split())
    later = set(whole("rev-list", "--objects", "--no-object-names", "--all", f"^{case.base}").split())
    assert later, "there is something to be found"
    said = {"prompt": found.prompt, "kept": found.kept, "environment": "\n".join(found.environment)}
    lines = [f"object {name}" for name in found.objects if name not in allowed]
    lines += [f"reference {line}" for line in found.refs if line.split()[1] != case.base]
    lines += [f"remote {line}" for line in found.remotes]
    lines += [f"alternate {line}" for line in found.alternates]
    lines += [f"log {line}" for line in found.logs]
    lines += [f"{name} in the {where}" for name in later for where, text in said.items() if name[:7] in text]
    lines += [
        f"link in the {where}" for where, text in said.items() if "/pull/" in text or "/commit/" in text
    ]
    path = str(whole.directory)
    lines += [f"the repository in the {where}" for where, text in said.items() if path in text]
    hidden = {file.path for file in case.hidden}
    lines += [f"hidden test {name}" for name in found.names if name in hidden]
    contents = [file.content for file in case.hidden if file.content]
    lines += ["a hidden test in the prompt" for text in contents if text in found.prompt]
    return lines
