"""What the demonstration prints at its end: what happened, why, and what to try next.

The numbers of a trial are those of its review, which the harvest stored with the verdict; nothing is
computed again.
"""

import json
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from console.demo.story import Chapter, Played
from console.output.own_name import own_name

_ENDS = {"rolled_back": "rolled back", "graduated": "graduated"}


def document(played: Played) -> dict[str, Any]:
    """A summary for scripts; `review` is the stored record of the verdict."""
    return {
        "seed": played.seed,
        "seconds": round(played.seconds, 1),
        "jobs": played.jobs,
        "merges": played.merges,
        "champion": played.champion,
        "trials": [
            {
                "title": chapter.title,
                "id": chapter.trial.id,
                "canary": chapter.trial.canary_id,
                "champion": chapter.trial.champion_id,
                "state": chapter.trial.state.value,
                "review": json.loads(chapter.trial.review or "{}"),
            }
            for chapter in played.chapters
        ],
    }


def summary(played: Played, *, stays: bool) -> RenderableType:
    """A summary for people; `stays`: the pages are there until somebody ends them."""
    parts = [Text(line) for chapter in played.chapters for line in _chapter(chapter)]
    return Group(
        Text(f"What happened, in {played.seconds:.0f} s", style="bold"),
        Text(
            f"{played.jobs} issues became jobs and were finished; each was drawn to a version, worked on "
            f"by an agent process in its own work tree and judged by CI; {played.merges} were merged. "
            f"The champion is {played.champion} now.\n"
        ),
        *parts,
        *_look(played, stays=stays),
        Text("What to try next", style="bold"),
        Text("\n".join(f"{own_name()} {words}\n    {meaning}" for words, meaning in _proposals(played))),
    )


def _look(played: Played, *, stays: bool) -> list[Text]:
    """Where the last trial can be looked at; or where it could be, and what keeps the pages open."""
    if not played.page:
        return []
    where = (
        f"{played.page}\nIn ten seconds: why it was decided, the evidence after each job, and both arms."
        if stays
        else f"{played.page}\nThat page has ended with the fleet; `{own_name()} demo --stay` leaves it open."
    )
    return [Text("The last trial in a browser", style="bold"), Text(f"{where}\n")]


def _proposals(played: Played) -> list[tuple[str, str]]:
    """Commands that can be typed as they stand, but for DIR, each with what it does."""
    return [
        (f"demo --seed {played.seed + 1}", "other draws, and other luck of the agent"),
        ("demo --keep DIR", "the same, and its repository, issues and logs stay in DIR"),
        ("trial plan --delta .1 --share .1 --baseline .7", "how many jobs a decision will need"),
        ("init", "five questions, and the settings for a git repository of yours"),
        ("up", "the same fleet on that repository"),
    ]


def _chapter(chapter: Chapter) -> list[str]:
    """One trial for people: the prompt, the scores of both arms, the evidence, and the reasons in words."""
    trial = chapter.trial
    review = json.loads(trial.review or "{}")
    arms, evidence, limits = review["arms"], review["evidence"], review["thresholds"]
    canary, champion = arms["canary"], arms["champion"]
    return [
        f"{chapter.title}: {trial.canary_id} was {_ENDS.get(trial.state.value, trial.state.value)}",
        f'  its prompt: "{chapter.prompt}"',
        (
            f"  its {canary['settled']} settled jobs had a mean score of {_mean(canary)}; "
            f"the champion's {champion['settled']} had {_mean(champion)}"
        ),
        (
            f"  evidence that it is worse: {evidence['worse']:.1f}; "
            f"that it is not worse by {_delta(trial.policy)}: {evidence['not_worse']:.1f}; "
            f"{limits['worse']:g} decides"
        ),
        *(f"  {reason}" for reason in review["reasons"]),
        "",
    ]


def _mean(arm: dict[str, Any]) -> str:
    return "none" if arm["mean"] is None else f"{arm['mean']:.2f}"


def _delta(policy: str) -> str:
    """The difference that must not graduate, from the policy as stored."""
    return f"{json.loads(policy)['delta']:g}"
