"""The environment of an agent: an allow-list, so that nothing of the worker's reaches it by accident.

Pure. Later parts win: what is allowed of the worker's, the version's own variables, the secrets that the
version names, what Coalmine says about the turn. docs/runtimes.md lists what a program gets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from routing.errors import SettingsError
from routing.git.git import IDENTITY_EMAIL
from tasks.agents.allowed_variables import reaches_agents
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec

#: Variables of these families are the worker's own: no version sets them or asks for them.
RESERVED_PREFIXES = ("COALMINE_", "CELERY_", "FLOWER_")


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentIdentity:
    """For whom a turn is run, as its environment says it."""

    job_id: str
    agent: str  # its name, by which mail reaches it
    version: str  # `implementer@v3`
    issue: str = ""  # `local:shop#3`, "" for ad-hoc requests
    attempt: int = 1  # from 1
    branch: str = ""  # branch of the work tree, "" without one
    traceparent: str = ""  # where the turn is in its trace (W3C Trace Context), "" while none is sent


def agent_environment(
    worker: Mapping[str, str],
    *,
    spec: RuntimeSpec,
    identity: AgentIdentity,
    turn_kind: str,
    prompt_file: Path,
    folder: Path,
) -> dict[str, str]:
    """Build the whole environment of an agent at work in a folder. Raises what `secret_values` raises.

    Its git finds no repository above the folder: one without a repository may lie in somebody's checkout.
    """
    ceiling = {"GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    return program_environment(worker, spec) | _said(identity, turn_kind, prompt_file) | ceiling


def program_environment(worker: Mapping[str, str], spec: RuntimeSpec) -> dict[str, str]:
    """The part that is the same for all turns of a version. Raises what `secret_values` raises."""
    _refuse_reserved(spec)
    passed_on = {name: value for name, value in worker.items() if reaches_agents(name)}
    return passed_on | dict(spec.environment) | secret_values(worker, spec)


def secret_values(worker: Mapping[str, str], spec: RuntimeSpec) -> dict[str, str]:
    """Return the secrets that the version names, from the worker's environment.

    SettingsError when the worker lacks one; RuntimeRefusedError when the version asks for a reserved name.
    """
    _refuse_reserved(spec)
    missing = sorted(name for name in spec.secrets if not worker.get(name))
    if missing:
        message = (
            f"the version needs {', '.join(missing)}, which this worker's environment does not have; "
            "set it where the worker is started, or propose a version without it"
        )
        raise SettingsError(message)
    return {name: worker[name] for name in spec.secrets}


def injected_values(worker: Mapping[str, str], spec: RuntimeSpec) -> dict[str, str]:
    """Return the secrets that are added outside of the sandbox. Raises what `secret_values` raises."""
    return secret_values(worker, replace(spec, secrets=tuple(one.secret for one in spec.profile.inject)))


def known_secrets(worker: Mapping[str, str], spec: RuntimeSpec) -> dict[str, str]:
    """All secrets that may come up in a turn, to be kept out of its log."""
    return secret_values(worker, spec) | injected_values(worker, spec)


def _refuse_reserved(spec: RuntimeSpec) -> None:
    asked = [*spec.environment, *spec.secrets]
    reserved = sorted(name for name in asked if name.startswith(RESERVED_PREFIXES))
    if reserved:
        message = (
            f"the version names {', '.join(reserved)}; variables that begin with "
            f"{', '.join(RESERVED_PREFIXES)} belong to the worker: propose a version without them"
        )
        raise RuntimeRefusedError(message)


def _said(identity: AgentIdentity, turn_kind: str, prompt_file: Path) -> dict[str, str]:
    said = {
        "COALMINE_JOB_ID": identity.job_id,
        "COALMINE_AGENT": identity.agent,
        "COALMINE_VERSION": identity.version,
        "COALMINE_ISSUE": identity.issue,
        "COALMINE_ATTEMPT": str(identity.attempt),
        "COALMINE_BRANCH": identity.branch,
        "COALMINE_TURN_KIND": turn_kind,
        "COALMINE_PROMPT_FILE": str(prompt_file),
        "GIT_TERMINAL_PROMPT": "0",
    }
    if identity.traceparent:  # a program that sends spans of its own puts them there
        said["TRACEPARENT"] = identity.traceparent
    user, _, host = IDENTITY_EMAIL.partition("@")
    said["GIT_AUTHOR_NAME"] = said["GIT_COMMITTER_NAME"] = identity.version
    said["GIT_AUTHOR_EMAIL"] = IDENTITY_EMAIL
    # Two jobs that make the same change in the same second must not make one and the same commit.
    said["GIT_COMMITTER_EMAIL"] = f"{user}+{identity.job_id}@{host}"
    return said
