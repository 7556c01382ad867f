"""What a wheel says of the project: its version and address, and a README whose links work away from it.

The version is that of the newest tag `v1.2.3` at the commit that is built, or what the variable
PROJECT_VERSION or the source distribution says. A commit without a tag is on its way to the next release:
NEXT, `.dev0`.

hatchling calls `AddressHook` when it builds. The address is the variable PROJECT_URL, or else where `origin`
of the clone leads to that is built, or what the source distribution says. Without any, as in a clone of a
folder, the wheel names none, and links of the README become plain text: an address is never made up.
"""

import os
import re
import subprocess
from email.message import Message
from email.parser import Parser
from pathlib import Path
from urllib.parse import urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link, or a picture, of markdown; the address has neither a scheme nor only a heading.
_RELATIVE = re.compile(r"(?P<text>!?\[[^\]]*\])\((?!https?:|#|mailto:)(?P<path>[^)\s]+)\)")

#: How the files of the main branch are shown, by what the host is called; Gitea and Forgejo are at any other.
_FILES = {"github": "blob/HEAD", "gitlab": "-/blob/HEAD", "bitbucket": "src/HEAD"}


#: The release that comes next.
NEXT = "0.1.0"


class AddressHook(MetadataHookInterface):
    """Fills in `readme` and `urls`, which pyproject.toml leaves to it."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict) -> None:  # type: ignore[type-arg]
        """Called once for each build."""
        root = Path(self.root)
        address = address_of(os.environ.get("PROJECT_URL", "") or _origin(root)) or _built(root)
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, address)}
        metadata["urls"] = urls(address)


def version_of(root: Path) -> str:
    """The version of what is built; hatchling asks for it, see pyproject.toml."""
    return (
        os.environ.get("PROJECT_VERSION", "")
        or _tagged(root)
        or str(_metadata(root).get("Version", ""))
        or f"{NEXT}.dev0"
    )


def urls(address: str) -> dict[str, str]:
    """The addresses that a package index shows; none without the project's."""
    if not address:
        return {}
    files = f"{address}/{_files(address)}"
    return {
        "Repository": address,
        "Documentation": f"{files}/docs/index.md",
        "Changelog": f"{files}/CHANGELOG.md",
    }


def absolute(text: str, address: str) -> str:
    """The README with links that begin at the address; without one, their words and the path in brackets."""

    def link(match: re.Match[str]) -> str:
        if address:
            return f"{match['text']}({address}/{_files(address)}/{match['path']})"
        return f"{match['text'].strip('![]')} (`{match['path'].partition('#')[0]}`)"

    return _RELATIVE.sub(link, text)


def address_of(remote: str) -> str:
    """The page of a remote: `git@host:owner/name.git` is https://host/owner/name. "" for a path, or none."""
    secure = re.fullmatch(r"(?:ssh://)?git@([^:/]+)[:/](.+)", remote)
    parts = urlsplit(f"https://{secure[1]}/{secure[2]}" if secure else remote)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
        return ""
    port = f":{parts.port}" if parts.port else ""  # neither user nor password: a wheel is for everybody
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/').removesuffix('.git')}"


def _files(address: str) -> str:
    host = urlsplit(address).hostname or ""
    return next((path for name, path in _FILES.items() if name in host), "src/branch/main")


def _origin(root: Path) -> str:
    """Where the clone was cloned from; "" when this is none, also when it lies in another project's clone."""
    if not (root / ".git").exists():
        return ""
    asked = subprocess.run(
        ["git", "-C", root, "remote", "get-url", "origin"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def _tagged(root: Path) -> str:
    """The version of the newest tag at the commit of a clone; "" without one."""
    if not (root / ".git").exists():
        return ""
    command = [
        "git",
        "-C",
        root,
        "tag",
        "--points-at",
        "HEAD",
        "--sort=-version:refname",
        "--list",
        "v[0-9]*",
    ]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return next((line.removeprefix("v") for line in asked.stdout.split()), "")


def _built(root: Path) -> str:
    """The address in a source distribution's own metadata."""
    named = _metadata(root).get_all("Project-URL") or []
    found = dict(line.split(", ", 1) for line in named)
    return str(found.get("Repository", ""))


def _metadata(root: Path) -> Message:
    """What a source distribution says of itself; empty in a clone."""
    file = root / "PKG-INFO"
    return Parser().parsestr(file.read_text(encoding="utf-8") if file.is_file() else "")
