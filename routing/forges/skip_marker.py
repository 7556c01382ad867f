"""Words in a commit message by which forges and CI systems leave a commit out. Pure.

An agent that writes them, as it saw others do in the log, would keep its work from being judged. GitHub:
https://docs.github.com/actions/how-tos/manage-workflow-runs/skip-workflow-runs; Gitea and Forgejo take the
same words; GitLab, Bitbucket, Drone, Woodpecker, CircleCI, Travis, Azure, AppVeyor and others some of them.
"""

import re

_SYSTEMS = (
    r"(?:ci|actions?|workflows?|travis(?:[ -]ci)?|circle(?:ci)?|appveyor|azurepipelines|azpipelines|azp|"
    r"cirrus|drone|woodpecker|gitlab|jenkins|buildkite|semaphore|codeship|codefresh|netlify|vercel|render)"
)

_MARKER = re.compile(
    rf"\[\s*(?:skip|no)[\s_-]+{_SYSTEMS}\s*\]"  # [skip ci], [no ci], [skip-ci], [skip actions]
    rf"|\[\s*{_SYSTEMS}[\s_-]+skip\s*\]"  # [ci skip], [azp skip]
    r"|\*{3}\s*no_ci\s*\*{3}"  # ***NO_CI***
    r"|(?<!\S)--skip-ci\b"
    r"|^[ \t]*skip-checks[ \t]*:[ \t]*true[ \t]*$",  # a trailer
    re.IGNORECASE | re.MULTILINE,
)

#: What is left of a message that said nothing else.
_NOTHING_ELSE = "Work"


def skip_marker(message: str) -> str:
    """The first such words in a message, "" when it has none."""
    found = _MARKER.search(message)
    return " ".join(found[0].split()) if found else ""


def without_skip_markers(message: str) -> str:
    """The message without them; unchanged when it has none."""
    if not _MARKER.search(message):
        return message
    lines = _MARKER.sub("", message).rstrip().splitlines()
    cleaned = "\n".join(re.sub(r"(?<=\S) {2,}(?=\S)", " ", line).rstrip() for line in lines)
    return f"{cleaned.strip() or _NOTHING_ELSE}\n"
