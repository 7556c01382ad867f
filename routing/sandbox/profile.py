"""The profile of a sandbox: what a version lets its agent reach. It is content, hashed like a prompt.

A field that has its default is left out when a profile is written, so that a later field changes no hash.
For the same reason a default never changes: another one is another field.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

#: Most entries of a list in a profile.
_MOST = 100

#: A name of the network, perhaps with all below it (`*.pypi.org`), perhaps with a port. No wildcard else.
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?")


class SandboxKind(StrEnum):
    """How an agent is confined, from the weakest to the strongest."""

    NONE = "none"
    AUTO = "auto"  # bubblewrap where it works, else none, and the job says so
    BUBBLEWRAP = "bubblewrap"
    CONTAINER = "container"

    def is_at_least(self, other: "SandboxKind") -> bool:
        """Whether a version of this kind never runs with less than the other one."""
        order = list(SandboxKind)
        return order.index(self) >= order.index(other)


class NetworkMode(StrEnum):
    """What a sandbox reaches of the network."""

    FULL = "full"  # that of the machine, with what listens on its loopback
    NONE = "none"
    ALLOW_LIST = "allow-list"  # named hosts, through the worker's proxy


HostPattern = Annotated[str, StringConstraints(max_length=260)]
ShownPath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Megabytes = Annotated[int, Field(gt=0, le=16_777_216)]


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class Injection(BaseModel):
    """A secret that the worker's proxy adds to requests for one host, so that the agent never holds it."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    host: HostPattern  # `api.anthropic.com`, with a port if it is not 443
    header: HeaderName  # `x-api-key`, `authorization`
    secret: Variable  # of the worker
    prefix: Annotated[str, StringConstraints(max_length=32)] = ""  # before the secret: `Bearer `
    variable: Variable | None = None  # the agent's, for the address that it speaks to; None: the usual one
    path: Annotated[str, StringConstraints(max_length=256)] = ""  # at the end of that address: `/v1`
    tls: bool = True  # False: the host is spoken to without TLS, as one on the same machine may be

    @field_validator("host")
    @classmethod
    def _is_one_host(cls, value: str) -> str:
        return checked_host(value, wildcard=False)

    @field_validator("prefix", "path")
    @classmethod
    def _is_printable(cls, value: str) -> str:
        if not value.isascii() or not (value.isprintable() or not value):
            raise ValueError("must be printable ASCII")
        return value


class SandboxProfile(BaseModel):
    """What a version's sandbox lets its agent reach, beside its work tree."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    network: NetworkMode = NetworkMode.ALLOW_LIST
    allow: Annotated[tuple[HostPattern, ...], Field(max_length=_MOST)] = ()  # hosts, beside the usual ones
    usual_hosts: bool = True  # whether the APIs of models and the package indexes are allowed too
    inject: Annotated[tuple[Injection, ...], Field(max_length=10)] = ()
    read: Annotated[tuple[ShownPath, ...], Field(max_length=_MOST)] = ()  # of the machine, absolute or `~/…`
    write: Annotated[tuple[ShownPath, ...], Field(max_length=_MOST)] = ()
    namespaces: bool = False  # whether programs in it may make sandboxes of their own, as browsers do
    memory_megabytes: Megabytes | None = None  # of all processes together; None: the fleet's limit
    processes: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    file_megabytes: Megabytes | None = None  # of one file
    disk_megabytes: Megabytes | None = None  # that work tree, home and temporary files may grow to
    image: Annotated[str, StringConstraints(max_length=512)] | None = None  # of a container

    @field_validator("allow")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_host(host) for host in value)

    @field_validator("read", "write")
    @classmethod
    def _are_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            parts = path.split("/")
            if not path.startswith(("/", "~/")) or ".." in parts or "\0" in path or path.strip("/~") == "":
                message = f"{path[:80]!r} is not an absolute path or one below ~/, or is too much to show"
                raise ValueError(message)
        return value

    @field_validator("image")
    @classmethod
    def _is_an_image(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*", value):
            message = f"{value[:80]!r} is not the name of an image"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _injects_where_it_can(self) -> Self:
        if self.inject and self.network is not NetworkMode.ALLOW_LIST:
            raise ValueError("inject needs the network `allow-list`: the worker's proxy adds the secret")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = written(self)
        usual = type(self).model_fields
        return {name: value for name, value in fields.items() if getattr(self, name) != usual[name].default}


def checked_host(host: str, *, wildcard: bool = True) -> str:
    """The pattern in lower case. ValueError: it is none."""
    host = host.lower()
    if not _HOST.fullmatch(host) or (host.startswith("*.") and not wildcard):
        message = f"{host[:80]!r} is not a host; write a name or an address, with :PORT if it is not usual"
        raise ValueError(message)
    return host
