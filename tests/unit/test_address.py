"""Redis URLs: read strictly, shown without secrets, and written as Celery wants them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kombu import Connection

from routing.errors import SettingsError
from routing.store.redis.address import RedisAddress, masked


@pytest.mark.parametrize(
    ("url", "shown", "broker"),
    [
        ("redis://localhost", "redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://h:7000/3", "redis://h:7000/3", "redis://h:7000/3"),
        ("redis://h?db=4", "redis://h:6379/4", "redis://h:6379/4"),
        ("redis://[::1]:7/1", "redis://[::1]:7/1", "redis://[::1]:7/1"),
        ("redis://me:p%40ss@h/1", "redis://***@h:6379/1", "redis://me:p%40ss@h:6379/1"),
        ("rediss://h", "rediss://h:6379/0", "rediss://h:6379/0?ssl_cert_reqs=required"),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
        (
            "unix://:secret@/run/a%20b.sock?db=2",
            "unix://***@/run/a b.sock?db=2",
            "redis+socket://:secret@/run/a%20b.sock?virtual_host=2",
        ),
        (
            "sentinel://:pw@one,two:26380/mymaster/5",
            "sentinel://***@one:26379,two:26380/mymaster/5",
            "sentinel://:pw@one:26379/5;sentinel://:pw@two:26380/5",
        ),
    ],
)
def test_each_form_is_read_shown_and_turned_into_a_broker_url(url: str, shown: str, broker: str) -> None:
    """One URL names the store; people see it without credentials, Celery gets its own spelling."""
    address = RedisAddress.parse(url)
    assert str(address) == masked(url) == shown
    assert address.broker_url() == broker


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "none of these"),
        ("http://h", "none of these"),
        ("redis://", "a host is missing"),
        ("redis://h:port", "a host is missing or is not"),
        ("redis://h:70000", "70000 is not a port"),
        ("redis://h/zero", "database must be a number"),
        ("redis://h/0/1", "too many parts"),
        ("redis://a,b/0", "several hosts"),
        ("redis://h?decode_responses=no", r"does not know \(db\)"),
        ("redis://h?ssl_cert_reqs=none", "option that redis:// does not know"),
        ("redis://:a#b@h", "%23"),
        ("rediss://h?ssl_cert_reqs=perhaps", "ssl_cert_reqs"),
        ("unix://relative.sock", "absolute path"),
        ("sentinel://h:26379", "name of the service"),
    ],
)
def test_wrong_urls_say_what_is_wrong_and_what_is_right(url: str, why: str) -> None:
    """The message names the fault and lists the forms."""
    with pytest.raises(SettingsError, match=why) as caught:
        RedisAddress.parse(url)
    assert "sentinel://" in str(caught.value)


@given(
    before=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"])),
    after=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"])),
    form=st.sampled_from(
        ["redis://:{}@h/0", "redis://{}@h", "sentinel://u:{}@h/0", "unix://:{}@/p", "redis://h?{}", "{}"]
    ),
)
@example(before="12/", after="@h", form="sentinel://u:{}/0")
@example(before="?", after="=1", form="redis://:{}@h/0")
def test_no_error_and_no_display_repeats_a_password(before: str, after: str, form: str) -> None:
    """However a URL with a password is mangled, the password does not come out of it."""
    said = _said_about(form.format(f"{before}hunter2{after}"))
    assert "hunter2" not in said


def _said_about(url: str) -> str:
    try:
        address = RedisAddress.parse(url)
    except SettingsError as error:
        return str(error)
    return f"{address} {address!r}"


def test_kombu_understands_the_broker_urls() -> None:
    """What we write is what kombu reads: database, user, password and, for TLS, checked certificates."""
    tcp = Connection(RedisAddress.parse("redis://me:p%40%2Fss@h:7000/3").broker_url())
    assert (tcp.hostname, tcp.port, tcp.virtual_host) == ("h", 7000, "3")
    assert (tcp.userid, tcp.password) == ("me", "p@/ss")
    tls = Connection(RedisAddress.parse("rediss://h?ssl_ca_certs=/ca.pem").broker_url())
    assert isinstance(tls.ssl, dict)
    assert tls.ssl["ssl_ca_certs"] == "/ca.pem"
    assert tls.ssl["ssl_cert_reqs"].name == "CERT_REQUIRED"
    sentinel = RedisAddress.parse("sentinels://one,two/main/2?sentinel_password=guard")
    connection = Connection(sentinel.broker_url(), transport_options=sentinel.broker_transport_options())
    assert [url.split("?")[0] for url in connection.alt] == [
        "sentinel://one:26379/2",
        "sentinel://two:26379/2",
    ]
    assert connection.transport_options == {
        "master_name": "main",
        "sentinel_kwargs": {
            "username": None,
            "password": "guard",
            "ssl": True,
            "ssl_cert_reqs": "required",
        },
    }
