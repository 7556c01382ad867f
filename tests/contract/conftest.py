"""What the suites of forges over HTTP share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.forge_world import ForgeWorld
from tests.repositories import new_repository
from tests.servers.gitea_server import gitea_server
from tests.servers.github_server import github_server
from tests.servers.gitlab_operations import foreign
from tests.servers.gitlab_server import gitlab_server
from tests.servers.served_forges import ServedForge, forge_of

SERVERS = {"github": github_server, "gitea": gitea_server, "gitlab": gitlab_server}


@pytest.fixture(params=list(SERVERS))
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedForge]:
    """Each of the three in turn; GitLab is asked for nothing that its documentation does not know."""
    world = ForgeWorld(new_repository(tmp_path, bare=True))
    server = SERVERS[request.param](world)
    forge = forge_of(request.param, server.address)
    yield ServedForge(kind=request.param, forge=forge, server=server, world=world)
    forge.close_connections()
    server.stop()
    if request.param == "gitlab":
        assert {wrong for asked in server.asked for wrong in foreign(asked)} == set()
