"""`coalmine template …`: templates, their versions, and what people decide about them.

Versions are immutable: `propose` makes a new one, or finds the version that has this content already. What
happens to a proposal depends on the template's policy and is decided in `routing.templates` and `tasks`.
Decisions (promote, reject, revert) are recorded with the user and a reason, and each is one atomic step, so
two people who decide at the same time cannot both win. `add` and `propose` list their options in full,
since typer reads them from the signature; the content is built in `console.input.template_content`.
"""

from pathlib import Path
from typing import Annotated

import typer

from console.completion import complete_template, complete_version
from console.details.template_detail import read_difference, read_template, read_version
from console.input.template_content import CLEARABLE, GivenContent
from console.invocation import AsJson, Reason, examples, noted, opened, started
from console.output.template_views import (
    difference_view,
    step_view,
    template_documents,
    template_view,
    templates_view,
    version_document,
    version_view,
)
from routing.jobs.turn import TurnKind
from routing.sandbox.profile import SandboxKind
from routing.templates.templates import ProposalPolicy, VersionStep
from routing.templates.version import VersionReference

template_app = typer.Typer(help="Templates and their versions.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=complete_template, help="The template's name.")
]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        autocompletion=complete_version,
        help="NAME, NAME@champion, NAME@latest or NAME@v3.",
    ),
]
Whole = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Read the whole content from a TOML file.")
]
Prompt = Annotated[str | None, typer.Option(help="Text that goes before every task.")]
PromptFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the prompt from a file; - is stdin.")
]
PromptFor = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=FILE",
        help=f"Text for turns of one kind, instead of the default: {', '.join(TurnKind)}.",
    ),
]
Runtime = Annotated[str | None, typer.Option(help="The kind of agent program. (default: command)")]
Command = Annotated[str | None, typer.Option(help="Shell line that starts the agent.")]
Model = Annotated[str | None, typer.Option(help="The model, as the agent program names it.")]
Tool = Annotated[list[str] | None, typer.Option(help="A tool that the agent may use; repeat for more.")]
Env = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable for the agent.")]
Secret = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="A variable of the worker that the agent gets; only its name is stored."
    ),
]
Sandbox = Annotated[
    SandboxKind | None,
    typer.Option(
        help="What the agent runs in; auto is bubblewrap where that works. (default: agent.sandbox)"
    ),
]
Profile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read what the sandbox lets it reach from a TOML file.")
]
TimeLimit = Annotated[float | None, typer.Option(metavar="SECONDS", help="Time limit of one turn.")]
AccountNames = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="An account of its runtime that it may use. (default: all of them)"),
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="A model to use while its own is out of reach, the first one first."),
]
Note = Annotated[str, typer.Option(help="Why this version was made.")]
SourceCommit = Annotated[
    str | None, typer.Option(help="Commit that the content comes from. (default: found by git)")
]
Policy = Annotated[
    ProposalPolicy,
    typer.Option(
        help="What happens to proposals: notify a person, open a canary trial, or promote at once (direct)."
    ),
]


@template_app.command(
    epilog=examples(
        "template add implementer --prompt-file prompts/implementer.md --command ./agent.sh",
        "template add implementer --from implementer.toml --policy canary",
    )
)
def add(
    ctx: typer.Context,
    name: Name,
    *,
    whole: Whole = None,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    prompt_for: PromptFor = None,
    runtime: Runtime = None,
    command: Command = None,
    model: Model = None,
    tool: Tool = None,
    env: Env = None,
    secret: Secret = None,
    time_limit: TimeLimit = None,
    sandbox: Sandbox = None,
    profile: Profile = None,
    account: AccountNames = None,
    fallback: Fallback = None,
    policy: Policy = ProposalPolicy.NOTIFY,
    note: Note = "",
    source_commit: SourceCommit = None,
    as_json: AsJson = False,
) -> None:
    """Make a template. Its first version becomes champion."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    given = GivenContent(
        whole=whole,
        prompt=prompt,
        prompt_file=prompt_file,
        prompt_for=prompt_for or [],
        runtime=runtime,
        command=command,
        model=model,
        tools=tool or [],
        environment=env or [],
        secrets=secret or [],
        time_limit_seconds=time_limit,
        sandbox=sandbox,
        profile=profile,
        accounts=account or [],
        fallback=fallback or [],
        clear=[],
    )
    snapshot = given.snapshot(sandbox=coalmine.settings.agent.sandbox)
    # A commit that was named is taken as it is: it may be of another repository.
    found, remark = given.source() if source_commit is None else (source_commit, "")
    step = coalmine.templates.add(name, snapshot, policy=policy, source_commit=found, note=note)
    if step.changed:
        noted(ctx, step.version.id, reason=note)
    terminal.answer(_step_document(step), step_view(step, "is champion", "has this content already"))
    if remark:
        terminal.note(remark)


@template_app.command(
    epilog=examples(
        "template propose implementer --prompt-file prompts/implementer.md --note 'run the tests first'",
        "template propose implementer --prompt-for fix_forward=prompts/repair.md",
        "template propose implementer --model large --clear tools",
    )
)
def propose(
    ctx: typer.Context,
    name: Name,
    *,
    whole: Whole = None,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    prompt_for: PromptFor = None,
    runtime: Runtime = None,
    command: Command = None,
    model: Model = None,
    tool: Tool = None,
    env: Env = None,
    secret: Secret = None,
    time_limit: TimeLimit = None,
    sandbox: Sandbox = None,
    profile: Profile = None,
    account: AccountNames = None,
    fallback: Fallback = None,
    clear: Annotated[
        list[str] | None, typer.Option(metavar="PART", help=f"Empty this part first: {', '.join(CLEARABLE)}.")
    ] = None,
    note: Note = "",
    source_commit: SourceCommit = None,
    as_json: AsJson = False,
) -> None:
    """Propose a version: the champion's content with your changes. The template's policy decides the rest."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    given = GivenContent(
        whole=whole,
        prompt=prompt,
        prompt_file=prompt_file,
        prompt_for=prompt_for or [],
        runtime=runtime,
        command=command,
        model=model,
        tools=tool or [],
        environment=env or [],
        secrets=secret or [],
        time_limit_seconds=time_limit,
        sandbox=sandbox,
        profile=profile,
        accounts=account or [],
        fallback=fallback or [],
        clear=clear or [],
    )
    champion = coalmine.templates.champion(name).snapshot
    snapshot = given.snapshot(champion, sandbox=coalmine.settings.agent.sandbox)
    found, remark = given.source() if source_commit is None else (source_commit, "")
    step, begun = coalmine.proposals.propose(name, snapshot, source_commit=found, note=note)
    if step.changed:
        noted(ctx, step.version.id, reason=note)
    # What a trial shows takes longer to import than all else here; the other commands need none of it.
    from console.output.trials.way_words import begun_document, begun_words  # noqa: PLC0415

    document = _step_document(step) | begun_document(begun)
    policy = coalmine.templates.policy(name)
    next_step = {
        ProposalPolicy.NOTIFY: f"is {step.version.state}; try it: `coalmine trial open {step.version.id}`",
        ProposalPolicy.DIRECT: "is champion, by the template's policy",
        ProposalPolicy.CANARY: begun_words(begun) if begun else "waits until a trial can open",
    }[policy]
    held = coalmine.versions.held(name)
    if held is not None and held.id == step.version.id:
        next_step = f"waits for a trial, which cannot be opened: {held.reason}"
    terminal.answer(document, step_view(step, next_step, "has this content already"))
    if remark:
        terminal.note(remark)


@template_app.command("list", epilog=examples("template list", "template list --json"))
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all templates with their champions and open trials."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    documents = template_documents(coalmine)
    terminal.answer({"templates": documents}, templates_view(documents))


@template_app.command(epilog=examples("template show implementer", "template show implementer@v3"))
def show(ctx: typer.Context, version: Reference, *, as_json: AsJson = False) -> None:
    """Print a template with its versions and decisions; with @, one version with its content."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    # Without @ the whole template is meant, although a reference alone would mean its champion.
    if "@" in version:
        found = read_version(coalmine, version)
        terminal.answer(found.document(), *version_view(found.version, found.cost))
        return
    detail = read_template(coalmine, VersionReference.parse(version).template)
    terminal.answer(
        detail.document(),
        *template_view(detail.summary, detail.versions, detail.reviews, detail.costs),
    )


@template_app.command(
    epilog=examples("template diff implementer@v2 implementer@v3", "template diff implementer@latest")
)
def diff(
    ctx: typer.Context,
    before: Reference,
    after: Annotated[
        str | None,
        typer.Argument(
            metavar="[OTHER]", help="The version to compare with. (default: the parent of the first)"
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the differences between the contents of two versions."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = read_difference(coalmine, before, after)
    terminal.answer(found.document(), *difference_view(found.before, found.after, found.lines))


@template_app.command(epilog=examples("template promote implementer@v3 --reason 'reviewed by hand'"))
def promote(ctx: typer.Context, version: Reference, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Make a pending version, or the canary of a trial, champion. NAME means its latest version."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    step = coalmine.templates.promote(version, by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, step.version.id, reason=reason)
    terminal.answer(_step_document(step), step_view(step, "is champion", "was champion already"))


@template_app.command(epilog=examples("template reject implementer@v3 --reason 'leaks file names'"))
def reject(ctx: typer.Context, version: Reference, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Reject a pending version, or the canary of a trial, for good. NAME means its latest version."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    step = coalmine.templates.reject(version, by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, step.version.id, reason=reason)
    terminal.answer(_step_document(step), step_view(step, "is rejected", "was rejected already"))


@template_app.command(epilog=examples("template revert implementer", "template revert implementer@v1"))
def revert(ctx: typer.Context, version: Reference, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Make a superseded version champion again. NAME means the previous champion."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    step = coalmine.templates.revert(version, by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, step.version.id, reason=reason)
    terminal.answer(_step_document(step), step_view(step, "is champion again", "is champion"))


@template_app.command(epilog=examples("template policy implementer", "template policy implementer canary"))
def policy(
    ctx: typer.Context,
    name: Name,
    value: Annotated[
        ProposalPolicy | None, typer.Argument(help="The new policy; without it, the policy is printed.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print or set what happens to proposals: notify (a person decides), canary (a trial opens) or direct."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    coalmine.templates.champion(name)
    if value is not None:
        coalmine.templates.set_policy(name, value)
        noted(ctx, name, reason=value.value)
    now = coalmine.templates.policy(name)
    terminal.answer({"template": name, "policy": now.value}, f"{name}: {now.value}")


def _step_document(step: VersionStep) -> dict[str, object]:
    """The answer of every step; `changed` is false when it had been made before."""
    return {"changed": step.changed, "version": version_document(step.version)}
