"""What a version says that ends up on a program's command line."""

from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec


def check_options(spec: RuntimeSpec) -> None:
    """Refuse a model or tool that a program would take for another option, or for none."""
    named = [
        *(() if spec.model is None else [("model", spec.model)]),
        *(("tool", tool) for tool in spec.tools),
    ]
    for what, value in named:
        if not value.strip() or value.startswith("-") or "\0" in value:
            message = (
                f"{value[:60]!r} is no {what} for the runtime `{spec.runtime}`; "
                f"propose a version whose {what} is a name in that program's own words"
            )
            raise RuntimeRefusedError(message)
