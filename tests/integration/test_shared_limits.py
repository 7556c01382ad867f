"""A rate limit is a token's: what one process of the fleet meets, no other one runs into."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from pydantic import SecretStr
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.forges.errors import ForgeUnreachableError
from routing.forges.github.kind import GitHubConfig
from routing.forges.rest.forge import RestForge
from tasks.composition.composition import compose
from tasks.composition.forge_parts import ForgeParts
from tasks.settings.settings import Settings
from tests.fakes.forge_world import TOKEN
from tests.servers.forge_server import Answer, ForgeServer
from tests.waiting import carried_out

#: Another process of the fleet: it asks GraphQL one thing, and says what came of it.
OTHER = """
import sys
from tests.integration.test_shared_limits import forge_of
from routing.forges.errors import ForgeUnreachableError
try:
    with forge_of(sys.argv[1], sys.argv[2]) as forge:
        forge.client.write("POST", "/graphql", {"query": "q"}, repeatable=False)
except ForgeUnreachableError as error:
    print("limited" if "rate limit" in str(error) else error)
"""


@contextmanager
def forge_of(redis_url: str, address: str) -> Iterator[RestForge]:
    """GitHub, as every process of a fleet makes it."""
    github = GitHubConfig(
        base_url=address, token=SecretStr(TOKEN), repositories=("acme/shop",), kill_switch=False
    )
    with closing(compose(Settings(redis_url=redis_url, forge=(github,)))) as made:
        forge = ForgeParts(coalmine=made, run_ci=lambda _commit: None).sites["github"].forge
        assert isinstance(forge, RestForge)
        yield forge


def test_limit_that_another_process_met_is_kept(redis_server: PrivateServer, redis_client: Redis) -> None:
    """GraphQL says it in an answer with 200; from then on nobody sends anything with this token."""
    assert redis_client.ping()
    thing = {"GET /thing": lambda _asked, _found: Answer(value={"a": 1})}
    server = ForgeServer(thing, scheme="Bearer")
    try:
        limited = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
        server.next.append(Answer(value=limited, headers={"Retry-After": "600"}))
        arguments = [sys.executable, "-c", OTHER, redis_server.url, server.address]
        assert carried_out(arguments, timeout=120).strip() == "limited"
        with (
            forge_of(redis_server.url, server.address) as forge,
            pytest.raises(ForgeUnreachableError, match="its rate limit is used up, so GET was not sent"),
        ):
            forge.client.get("/thing")
        assert [asked.path for asked in server.asked] == ["/graphql"]
    finally:
        server.stop()
