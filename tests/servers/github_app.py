"""The part of the suite's GitHub that Apps speak to: it checks signatures, and lends tokens of an hour."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.forge_server import GONE, Answer, AskedRequest, ForgeServer

Found = re.Match[str]

#: Seconds for which a token is lent, and that a proof may be good for.
LENT_SECONDS, LONGEST_PROOF_SECONDS = 3600, 600


def make_key(folder: Path, name: str = "app") -> Path:
    """A private key as GitHub gives one to an App, with its public half beside it."""
    key = folder / f"{name}.pem"
    _openssl("genrsa", "-traditional", "-out", str(key), "2048")
    _openssl("rsa", "-in", str(key), "-pubout", "-out", str(key.with_suffix(".pub")))
    return key


def _openssl(*arguments: str, data: bytes = b"") -> bool:
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    return done.returncode == 0


class AppServer:
    """An App with its installations, on a server."""

    def __init__(
        self, server: ForgeServer, *, app_id: int, key: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self.server = server
        self.app_id = app_id
        self.public = key.with_suffix(".pub")
        self.clock = clock
        self.installations = {"acme": 1, "ann": 2}  # by account
        self.lent: list[str] = []  # all tokens, in their order
        self.live: dict[str, int] = {}  # tokens that are known, with their installation
        server.knows = self.knows
        server.routes = {
            re.compile("GET /app"): lambda _asked, _found: Answer(value={"slug": "coalmine"}),
            re.compile("GET /(?:repos|orgs)/([^/]+)(?:/[^/]+)?/installation"): self.installation,
            re.compile("GET /users/([^/]+)/installation"): self.installation,
            re.compile(r"POST /app/installations/(\d+)/access_tokens"): self.lend,
            **server.routes,
        }

    def knows(self, asked: AskedRequest) -> bool:
        """The App by its proof, all others by a token of the account that is asked about."""
        word, _, given = asked.headers.get("Authorization", "").partition(" ")
        if asked.path.startswith("/app") or asked.path.endswith("/installation"):
            return word == "Bearer" and self.is_proof(given)
        account = re.match("/(?:repos|users|orgs)/([^/]+)", asked.path)
        installation = self.installations.get(account[1]) if account else self.live.get(given)
        return given in self.live and self.live[given] == installation

    def is_proof(self, text: str) -> bool:
        """Whether the App signed it, not long ago, and for no more than ten minutes."""
        head, body, signature = [*text.split("."), "", ""][:3]
        file = self.public.with_suffix(".signature")
        file.write_bytes(_decoded(signature))
        signed = f"{head}.{body}".encode()
        valid = _openssl("dgst", "-sha256", "-verify", str(self.public), "-signature", str(file), data=signed)
        if not valid or json.loads(_decoded(head)) != {"alg": "RS256", "typ": "JWT"}:
            return False
        said, now = json.loads(_decoded(body)), self.clock()
        in_time = said["iat"] <= now < said["exp"] <= now + LONGEST_PROOF_SECONDS
        return bool(in_time and said["iss"] == str(self.app_id))

    def installation(self, _asked: AskedRequest, found: Found) -> Answer:
        """Where the App is installed."""
        number = self.installations.get(found[1])
        return GONE if number is None else Answer(value={"id": number, "account": {"login": found[1]}})

    def lend(self, _asked: AskedRequest, found: Found) -> Answer:
        """A token of an hour."""
        token = f"ghs_{len(self.lent)}s3cret"
        self.lent.append(token)
        self.live[token] = int(found[1])
        until = datetime.fromtimestamp(self.clock() + LENT_SECONDS, tz=UTC)
        value: dict[str, Any] = {"token": token, "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return Answer(status=201, value=value)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
