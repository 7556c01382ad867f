"""What is wrong with issues, or with a repository, as the last poll saw it: for `issue list` and `doctor`."""

import json
from collections.abc import Iterable, Mapping, Sequence

from routing.issues.issue import IssueProblem
from routing.printable import valid
from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

#: Seconds for which a poll's problems are shown when no later poll says otherwise: it may be switched off.
RETENTION_SECONDS = 86_400

#: Problems of one repository that are kept, and characters of each message.
MOST_PROBLEMS, MOST_CHARACTERS = 200, 500

_NOTE = Script(
    "problems_note",
    lambda places: [int(place) for place in places],
    keys="problems",
    indexes="events",
    args="found retention_seconds",
)


class ProblemStore(Store):
    """One key a repository, which each poll replaces, and which expires. Of two polls the later counts.

    People hear of each problem once, for as long as every poll finds it.
    """

    def note(self, repository: str, problems: Sequence[IssueProblem]) -> list[IssueProblem]:
        """Note what a poll of `forge:repo` found; none takes away what was noted before.

        Returns those that were not noted yet, each of which has an event. Messages are cut.
        """
        kept = [
            IssueProblem(where=valid(one.where), message=valid(one.message[:MOST_CHARACTERS]))
            for one in problems[:MOST_PROBLEMS]
        ]
        places = self.call(
            _NOTE, problems=self.keys.issue_problems(repository),
            found=json.dumps([one.model_dump() for one in kept]), retention_seconds=RETENTION_SECONDS,
            doing=f"noting the problems of {repository}",
        )  # fmt: skip
        return [kept[place - 1] for place in places]

    def note_places(self, forge: str, repositories: Sequence[str]) -> None:
        """Note which repositories the patterns of a forge's settings meant at the last poll."""
        with redis_errors(f"noting the repositories of {forge}"):
            self.redis.set(
                self.keys.repositories(forge), json.dumps(list(repositories)), ex=RETENTION_SECONDS
            )

    def places(self, forge: str) -> tuple[str, ...]:
        """Those; () without patterns, and before the first poll."""
        with redis_errors(f"reading the repositories of {forge}"):
            text = self.redis.get(self.keys.repositories(forge))
        return tuple(map(str, json.loads(text))) if text else ()

    def note_names(self, forge: str, names: Mapping[str, str]) -> None:
        """Note which repositories of a forge are called otherwise than in its settings: those by their names.

        None takes away what was noted before.
        """
        key = self.keys.new_names(forge)
        with redis_errors(f"noting the names of repositories of {forge}"):
            if names:
                self.redis.set(key, json.dumps(dict(names)), ex=RETENTION_SECONDS)
            else:
                self.redis.delete(key)

    def names(self, forge: str) -> dict[str, str]:
        """The names of the settings, by those of now in lower case, as the last poll found them."""
        with redis_errors(f"reading the names of repositories of {forge}"):
            text = self.redis.get(self.keys.new_names(forge))
        return {str(name).casefold(): str(repo) for name, repo in json.loads(text).items()} if text else {}

    def read(self, repositories: Iterable[str]) -> dict[str, list[IssueProblem]]:
        """The problems of these repositories; those without any are left out."""
        names = list(dict.fromkeys(repositories))
        if not names:
            return {}
        with redis_errors("reading the problems of issues"):
            texts = self.redis.mget([self.keys.issue_problems(name) for name in names])
        return {
            name: [IssueProblem.model_validate(one) for one in json.loads(text)]
            for name, text in zip(names, texts, strict=True)
            if text
        }
