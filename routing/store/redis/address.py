"""Where Redis is: one URL for the store, and the same place as Celery's broker.

A URL may hold a password: no message, `str` or `repr` of this module shows it.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from routing.errors import SettingsError

#: The forms a URL may have, as shown to a person whose URL has none of them.
FORMS = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), unix://[USER:PASSWORD@]/PATH[?db=DB], "
    "sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/SERVICE[/DB] or sentinels://… (TLS)"
)

_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinels": 26379}
_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_cert_reqs", "ssl_check_hostname", "ssl_keyfile"}
)
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
_OPTIONS = {
    "redis": {"db"},
    "rediss": {"db"} | _TLS_OPTIONS,
    "unix": {"db", "username", "password"},
    "sentinel": {"db"} | _SENTINEL_OPTIONS,
    "sentinels": {"db"} | _SENTINEL_OPTIONS | _TLS_OPTIONS,
}
_CERTIFICATE_CHECKS = frozenset({"required", "optional", "none"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisAddress:
    """A parsed URL. Its `str` and `repr` show no credentials."""

    scheme: str  # redis, rediss, unix, sentinel or sentinels
    hosts: tuple[tuple[str, int], ...] = ()  # host and port; several for Sentinel, none for unix
    path: str = ""  # of the unix socket
    db: int = 0
    service: str = ""  # the name under which Sentinel knows the master
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: tuple[tuple[str, str], ...] = ()  # the URL's ssl_… options

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read a URL; SettingsError says what is wrong with it without repeating its credentials."""
        try:
            parts = urlsplit(url.strip())
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise _wrong("it is not a URL") from None  # the cause would repeat parts of the URL
        options = dict(pairs)
        if parts.scheme not in _OPTIONS:
            raise _wrong("its beginning is none of these")
        known = _OPTIONS[parts.scheme]
        if not options.keys() <= known:  # the unknown one is not named: it may be the rest of a password
            raise _wrong(
                f"it has an option that {parts.scheme}:// does not know ({', '.join(sorted(known))})"
            )
        if options.get("ssl_cert_reqs", "required") not in _CERTIFICATE_CHECKS:
            raise _wrong("ssl_cert_reqs must be required, optional or none")
        if parts.fragment:
            raise _wrong("it has a '#', which must be written %23 within a password")
        return cls(
            scheme=parts.scheme,
            **_place(parts, options),
            **_credentials(parts, options),
            tls=tuple(sorted((name, value) for name, value in options.items() if name in _TLS_OPTIONS)),
        )

    def __str__(self) -> str:
        place = self.path or ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts)
        service = f"/{self.service}" if self.service else ""
        secret = "***@" if self.username or self.password else ""
        return f"{self.scheme}://{secret}{place}{service}" + (
            f"?db={self.db}" if self.path else f"/{self.db}"
        )

    @property
    def place(self) -> str:
        """The server and the database alone, the same for each spelling; this machine has one name."""
        hosts = ",".join(sorted(f"{_bracketed(_known_as(host))}:{port}" for host, port in self.hosts))
        return f"{self.path or hosts}/{self.service}/{self.db}"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"rediss", "sentinels"}

    @property
    def by_sentinel(self) -> bool:
        """Whether Sentinel must be asked where the master is."""
        return self.scheme in {"sentinel", "sentinels"}

    def tls_options(self) -> dict[str, Any]:
        """The TLS options as redis-py takes them; certificates are checked unless the URL says otherwise."""
        if not self.uses_tls:
            return {}
        options: dict[str, Any] = {"ssl_cert_reqs": "required"} | dict(self.tls)
        if "ssl_check_hostname" in options:
            options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in {"true", "1", "yes"}
        return options

    def broker_url(self) -> str:
        """The same place as Celery and kombu write it. It carries the credentials: do not log it."""
        user = ""
        if self.username or self.password:
            user = f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"
        if self.path:
            return f"redis+socket://{user}{quote(self.path)}?virtual_host={self.db}"
        # kombu checks certificates only when asked to.
        tls = dict(self.tls_options())
        query = f"?{urlencode(tls)}" if tls else ""
        scheme = "sentinel" if self.by_sentinel else self.scheme
        return ";".join(
            f"{scheme}://{user}{_bracketed(host)}:{port}/{self.db}{query}" for host, port in self.hosts
        )

    def broker_transport_options(self) -> dict[str, Any]:
        """What Celery's `broker_transport_options` needs besides the URL."""
        if not self.by_sentinel:
            return {}
        return {"master_name": self.service, "sentinel_kwargs": self.sentinel_options()}

    def sentinel_options(self) -> dict[str, Any]:
        """How to speak to the Sentinels themselves, as redis-py takes it."""
        options: dict[str, Any] = {}
        if self.sentinel_password:
            options |= {"username": self.sentinel_username, "password": self.sentinel_password}
        if self.uses_tls:
            options |= {"ssl": True} | self.tls_options()
        return options


def masked(url: str) -> str:
    """The URL without its credentials, for people and logs; whatever it is, no secret of it comes out."""
    try:
        return str(RedisAddress.parse(url))
    except SettingsError:
        return "(an address that is not understood)"


def _wrong(why: str) -> SettingsError:
    return SettingsError(f"the Redis URL (COALMINE_REDIS_URL) is wrong: {why}. Write {FORMS}")


def _place(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    """Hosts, path, service and database."""
    netloc = parts.netloc.rpartition("@")[2]
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    if parts.scheme == "unix":
        if netloc or not segments:
            raise _wrong("a unix socket needs an absolute path, as in unix:///run/redis/redis.sock")
        return {"path": unquote(parts.path), "db": _database(options.get("db", "0"))}
    place: dict[str, Any] = {"hosts": _hosts(netloc, _DEFAULT_PORTS[parts.scheme])}
    if parts.scheme in {"sentinel", "sentinels"}:
        if not segments:
            raise _wrong("Sentinel needs the name of the service after the hosts")
        place["service"] = segments.pop(0)
        if not re.fullmatch(r"[A-Za-z0-9._-]+", place["service"]):
            raise _wrong("the name of Sentinel's service has letters, digits, '.', '_' and '-' only")
    elif len(place["hosts"]) > 1:
        raise _wrong("several hosts are for sentinel:// only")
    if len(segments) > 1:
        raise _wrong("its path has too many parts")
    return place | {"db": _database(options.get("db") or (segments[0] if segments else "0"))}


def _credentials(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return {
        "username": unquote(user) or options.get("username") or None,
        "password": unquote(password) or options.get("password") or None,
        "sentinel_username": options.get("sentinel_username") or None,
        "sentinel_password": options.get("sentinel_password") or None,
    }


def _hosts(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(part, default_port) for part in netloc.split(","))


def _host(text: str, default_port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?", text)
    if match is None:
        raise _wrong("a host is missing or is not HOST or HOST:PORT")
    port = int(match[3]) if match[3] else default_port
    if not 0 < port < 1 << 16:
        raise _wrong(f"{port} is not a port")
    return match[1] or match[2], port


def _known_as(host: str) -> str:
    """A host's name in one spelling: all addresses of the machine itself are `localhost`."""
    name = host.lower().rstrip(".")
    try:
        return "localhost" if ip_address(name).is_loopback else str(ip_address(name))
    except ValueError:
        return name


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _database(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text):
        raise _wrong("the database must be a number, as in redis://localhost:6379/0")
    return int(text)
