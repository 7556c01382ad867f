"""The script by which bash completes our commands: issues, versions and agents have a `:` or an `@`.

Bash splits words there, so typer's own script asks for `acme` where `github:acme` was typed, and finds
nothing. This one puts the words together again as they stand in the line, and takes off the replies what bash
has of them already. Other shells do not split.
"""

from typing import Final

from typer import _completion_shared as shared

#: With the places that typer fills in; a percent sign is written twice.
SCRIPT: Final = r"""
%(complete_func)s() {
    local IFS=$'\n' line="$COMP_LINE" breaks="" word before i
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        before="${line%%%%"$word"*}"
        if [[ -z "$word" && "$line" == [[:space:]]* ]]; then before=" "; fi
        if [[ i -gt 0 && -z "$before" ]]; then words[-1]+="$word"; else words+=("$word"); fi
        line="${line#"$before$word"}"
    done
    COMPREPLY=( $( env COMP_WORDS="${words[*]}" \
                   COMP_CWORD=$((${#words[@]} - 1)) \
                   %(autocomplete_var)s=complete_bash $1 ) )
    if [[ "$COMP_WORDBREAKS" == *:* ]]; then breaks+=":"; fi
    if [[ "$COMP_WORDBREAKS" == *@* ]]; then breaks+="@"; fi
    word="${words[-1]}"
    if [[ -n "$breaks" && "$word" == *["$breaks"]* ]]; then
        before="${word%%"${word##*["$breaks"]}"}"
        COMPREPLY=( "${COMPREPLY[@]#"$before"}" )
    fi
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""


def use_own_script() -> None:
    """Have `--install-completion` and `--show-completion` give this script for bash."""
    shared._completion_scripts["bash"] = SCRIPT  # noqa: SLF001 - typer has no other way to name one
