"""Which issues wait for which, for views: the edges that the scripts of the backlog write, by name."""

from collections.abc import Sequence

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: From an issue that waits to one that it waits for, by name.
Edge = tuple[str, str]


class DependencyStore(Store):
    """Reads edges, each once, those of finished issues too: `finished_of` says which those are."""

    def first(self, most: int) -> list[Edge]:
        """At most so many edges, by the name of the issue that waits."""
        with redis_errors("reading the dependencies of the backlog"):
            members = self.redis.zrangebylex(self.keys("backlog_edges"), "[<", "(=", start=0, num=most)
        return list(dict.fromkeys(map(_edge, members)))

    def of(self, names: Sequence[str], most: int) -> list[Edge]:
        """The edges of some issues: at most so many in each direction of each of them."""
        with redis_errors("reading the dependencies of some issues"):
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                for way in "<>":
                    first, last = f"[{way}{name} ", f"({way}{name}!"
                    pipeline.zrangebylex(self.keys("backlog_edges"), first, last, start=0, num=most)
            found = pipeline.execute()
        return list(dict.fromkeys(_edge(member) for members in found for member in members))

    def finished_of(self, names: Sequence[str]) -> set[str]:
        """Those of some issues for which nobody waits: finished items, and what its forge says is closed.

        Two round trips; no record of an item is read.
        """
        if not names:
            return set()
        with redis_errors("reading which issues are finished"):
            scores = self.redis.zmscore(self.keys("backlog_open"), list(names))
            others = [name for name, score in zip(names, scores, strict=True) if score is None]
            if not others:
                return set()
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.hmget(self.keys("backlog_outside"), others)
            for name in others:
                pipeline.hexists(self.keys("backlog"), name)
            said, *items = pipeline.execute()
        return {
            name
            for name, is_item, answer in zip(others, items, said, strict=True)
            if is_item or answer == "closed"
        }


def _edge(member: str) -> Edge:
    """The issue that waits and its blocker, from either form in which `_backlog.lua` stores an edge."""
    one, other, _ = member[1:].split(" ", 2)
    return (one, other) if member[0] == "<" else (other, one)
