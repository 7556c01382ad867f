"""Ids of served repositories in Redis: which repository was meant by a name when it was first seen."""

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store


class RepositoryIdStore(Store):
    """One hash, which does not expire: a name means one repository until a person says otherwise.

    Its fields have the forge, the address of its API and the name, so that a forge that is set up at another
    address begins anew. Two processes that see a repository first at once keep the id of one of them.
    """

    def kept(self, forge: str, server: str, name: str) -> int | None:
        """The id that is kept for a name; None while it was never seen."""
        with redis_errors(f"reading which repository {name} of {forge} is"):
            said = self.redis.hget(self.keys.repository_ids, _field(forge, server, name))
        return None if said is None else int(said)

    def keep(self, forge: str, server: str, name: str, id_: int) -> int:
        """Keep an id unless one is kept already; returns the one that is kept now. Two round trips."""
        key, field = self.keys.repository_ids, _field(forge, server, name)
        with redis_errors(f"noting which repository {name} of {forge} is"):
            self.redis.hsetnx(key, field, str(int(id_)))
            return int(self.redis.hget(key, field) or id_)

    def forget(self, forge: str, server: str, name: str) -> int | None:
        """Take whatever has the name next; returns the id that was kept, None if none was."""
        kept = self.kept(forge, server, name)
        with redis_errors(f"forgetting which repository {name} of {forge} was"):
            self.redis.hdel(self.keys.repository_ids, _field(forge, server, name))
        return kept


def _field(forge: str, server: str, name: str) -> str:
    """Names of repositories have no case."""
    return f"{forge} {server} {name.casefold()}"
