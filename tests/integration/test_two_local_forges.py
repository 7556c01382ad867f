"""Two repositories of this machine, each a local forge of its own, served by one fleet."""

import shutil
from contextlib import closing
from pathlib import Path

from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.forges.commit_status import CiVerdict
from tasks.composition.composition import compose
from tasks.composition.worker import Worker
from tests.fleets.worker_fleet import settings_from
from tests.repositories import new_repository


def test_ci_runs_where_the_commit_is(
    redis_client: Redis, redis_server: PrivateServer, tmp_path: Path
) -> None:
    """Neither a forge without the commit nor one whose repository has gone keeps the next from its CI."""
    assert redis_client.ping()
    gone, other, ours = (new_repository(tmp_path, name) for name in ("gone", "other", "ours"))
    variables = {"COALMINE_REDIS_URL": redis_server.url}
    for name, repository in (("first", gone), ("second", other), ("third", ours)):
        issues = tmp_path / f"{name}-issues"
        issues.mkdir()
        prefix = f"COALMINE_FORGE__{name.upper()}__"
        variables |= {
            f"{prefix}KIND": "local",
            f"{prefix}REPOSITORY": str(repository.path),
            f"{prefix}ISSUES": str(issues),
            f"{prefix}STATE": str(tmp_path / "state"),
            f"{prefix}CI": "true",
        }
    with closing(compose(settings_from(variables))) as parts:
        worker = Worker(coalmine=parts)
        sites = worker.forges.sites
        commit = ours.work("coalmine/issue-1", {"done.txt": "done\n"})
        shutil.rmtree(gone.path)
        worker.run_ci(commit)
        third = sites["third"]
        assert third.forge.statuses(third.config.allow_list[0], commit).verdict is CiVerdict.GREEN
