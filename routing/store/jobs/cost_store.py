"""Sums of what turns have cost: by version, by arm, by day. The end of a turn writes them (`session_end`)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from routing.accounts.budget import REPOSITORY
from routing.cost import NO_COST, Cost
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds of a day: days are those of UTC, counted from 1970.
DAY_SECONDS = 86_400


class CostStore(Store):
    """Reads the sums. A label without a sum has had no turn since this release counts them."""

    def of_versions(self, template: str) -> dict[str, Cost]:
        """What each version's turns have cost, by `v3`."""
        return self._read([self.keys.template_costs(template)])[0]

    def of_arms(self, trials: Sequence[str]) -> list[dict[str, Cost]]:
        """What the jobs of each trial have cost, by arm."""
        return self._read([self.keys.trial_costs(trial) for trial in trials])

    def of_trial(self, trial: str) -> Cost:
        """What the jobs of a trial have cost, of both arms."""
        return sum(self.of_arms([trial])[0].values(), NO_COST)

    def of_days(self, days: Sequence[int]) -> list[dict[str, Cost]]:
        """What the turns that ended on days have cost, by template."""
        return self._read([self.keys.day_costs(day) for day in days])

    def budgeted(self, day: int) -> dict[str, Cost]:
        """The same of one day with those of repositories, by the labels of budgets."""
        with redis_errors("reading what turns have cost"):
            return _sums(self.redis.hgetall(self.keys.day_costs(day)), all_labels=True)

    def today(self) -> int:
        """The day that it is, by the server's clock, in UTC since 1970."""
        return int(self.now() // DAY_SECONDS)

    def _read(self, names: Sequence[str]) -> list[dict[str, Cost]]:
        with redis_errors("reading what turns have cost"):
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(name)
            found = pipeline.execute() if names else []
        return [_sums(fields) for fields in found]


def _sums(fields: Mapping[str, str], *, all_labels: bool = False) -> dict[str, Cost]:
    """LABEL:MEASURE -> number, as a cost for each label."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in fields.items():
        if name.startswith(REPOSITORY) and not all_labels:  # the same turns once more, for budgets
            continue
        label, _, measure = name.rpartition(":")
        parts[label][measure] = value
    return {label: Cost.stored(values) for label, values in sorted(parts.items())}
