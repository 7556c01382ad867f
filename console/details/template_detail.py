"""A template with its versions and decisions, and a version: with what they and their changes cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.output.cost_views import cost_document
from console.output.template_views import content_difference, template_document, version_document
from harvest.settling.outcome_price import OutcomePrice
from routing.cost import NO_COST, Cost
from routing.templates.version import Version
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateDetail:
    """One template. Its parts are read one after the other, so they may be of slightly different moments."""

    summary: Mapping[str, Any]  # as lists have it
    versions: Sequence[Version]  # oldest first
    reviews: Sequence[Mapping[str, Any]]  # decisions as stored, oldest first
    costs: Mapping[str, Cost]  # of its versions, by `v3`
    prices: Mapping[str, OutcomePrice]  # of their changes, by `implementer@v3`; without those of no job

    def cost(self, version: Version) -> Cost:
        """What the turns of a version have cost."""
        return self.costs.get(f"v{version.number}", NO_COST)

    def document(self) -> dict[str, Any]:
        """For scripts."""
        versions = [
            version_document(each)
            | {"cost": cost_document(self.cost(each)), "price": _priced(self.prices.get(each.id))}
            for each in self.versions
        ]
        return {**self.summary, "versions": versions, "reviews": list(self.reviews)}


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionDetail:
    """One version, what its turns have cost, and what its changes cost that stayed."""

    version: Version
    cost: Cost
    price: OutcomePrice | None  # None: none of the jobs that were looked at is its

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return version_document(self.version) | {
            "cost": cost_document(self.cost),
            "price": _priced(self.price),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionDifference:
    """What is different between the contents of two versions."""

    before: Version
    after: Version
    lines: Sequence[str]  # of a unified diff; none where the contents are the same

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "from": self.before.id,
            "to": self.after.id,
            "changed": bool(self.lines),
            "diff": list(self.lines),
        }


def read_template(parts: Coalmine, name: str) -> TemplateDetail:
    """Read it; UnknownTemplateError for a name that no template has."""
    return TemplateDetail(
        summary=template_document(parts, name),
        versions=parts.templates.versions(name),
        reviews=parts.templates.reviews(name),
        costs=parts.costs.of_versions(name),
        prices=parts.outcome_prices.lately(name),
    )


def read_version(parts: Coalmine, reference: str) -> VersionDetail:
    """Read it by `implementer@v3`, or by a reference such as `implementer@latest`."""
    found = parts.templates.find(reference)
    cost = parts.costs.of_versions(found.template).get(f"v{found.number}", NO_COST)
    price = parts.outcome_prices.lately(found.template).get(found.id)
    return VersionDetail(version=found, cost=cost, price=price)


def _priced(price: OutcomePrice | None) -> dict[str, Any] | None:
    return None if price is None else price.document()


def read_difference(parts: Coalmine, before: str, after: str | None = None) -> VersionDifference:
    """Compare two versions by their references; without `after`, the parent of the first with the first."""
    first = parts.templates.find(before)
    if after is not None:
        second = parts.templates.find(after)
    else:
        second = first
        # The first version has no parent: it is compared with itself, which has no differences.
        first = parts.templates.find(f"{first.template}@v{first.parent}") if first.parent else first
    return VersionDifference(before=first, after=second, lines=content_difference(first, second))
