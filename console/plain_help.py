"""Help in which types are written as people write them: `--limit N`, `--json`, and never `<list[str]>`.

typer names Python's types beside each option. Here an option without a metavar of its own gets one by its
type; choices and ranges go into its help, where there is room to fold them between words.
"""

from typing import Any

from typer.core import TyperArgument, TyperOption

#: What stands for a value of a type, by typer's name for that.
_WORDS = {
    "<str>": "TEXT",
    "<int>": "N",
    "<float>": "NUMBER",
    "<path>": "PATH",
    "<bool>": "",
    "<file>": "FILE",
}


def write_types_plainly(parameter: Any) -> None:
    """Give a parameter of a command its words; what its declaration says itself stays."""
    if isinstance(parameter, TyperArgument):
        _replace(parameter, "display_type_rich", "")  # its name says it
    elif isinstance(parameter, TyperOption):
        _option(parameter)


def write_help_plainly(command: Any) -> None:
    """Have the option `--help` of a command show no type either; it is made when it is asked for."""
    made = command.get_help_option

    def plainly(ctx: Any) -> Any:
        option = made(ctx)
        if isinstance(option, TyperOption):
            _option(option)
        return option

    command.get_help_option = plainly


def _option(option: TyperOption) -> None:
    """An option's metavar, and what may be given as its last sentence of help."""
    shown = option.display_type(None) or ""  # type: ignore[arg-type]  # it is not asked for its context
    choices = shown.strip("<>").removeprefix("list[").removesuffix("]")
    if option.is_flag:
        option.metavar = ""
    elif option.metavar is None and "|" in choices:
        option.metavar = str(option.name).upper().replace("_", "-")
        option.help = f"{option.help or ''} One of: {choices.replace('|', ', ')}.".strip()
    elif option.metavar is None:
        plain = shown.replace("list[", "").replace("]", "").replace(" range", "")
        option.metavar = _WORDS.get(plain, str(option.name).upper())
    _in_words(option)


def _in_words(option: TyperOption) -> None:
    """The range of a number: `1 to 32` in place of `1<=x<=32`."""
    least, most = getattr(option, "min", None), getattr(option, "max", None)
    if option.is_flag or option.count or (least is None and most is None):
        return
    words = f"{least:g} to {most:g}" if None not in {least, most} else ""
    words = words or (f"at least {least:g}" if least is not None else f"at most {most:g}")
    option.help = f"{(option.help or '').removesuffix('.')} ({words})."
    _replace(option, "_get_number_range_help_str", None)


def _replace(parameter: Any, method: str, answer: str | None) -> None:
    """Have a method of this one parameter give a fixed answer."""

    def fixed(*_args: Any, **_kwargs: Any) -> str | None:
        return answer

    setattr(parameter, method, fixed)
