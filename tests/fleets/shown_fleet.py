"""A fleet as pages show it: something of every kind, and hostile text wherever people or agents may write."""

import redis

from harvest.evidence.policy import Guardrail, TrialPolicy
from routing.jobs.signal import SignalKind
from routing.store.events.decision_store import NotedDecision
from routing.store.fleet.clock_store import ClockStore
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import every_kind_of_pair
from tests.fleets.stepped_fleet import SteppedFleet

#: What would run as a script, hide, reorder, or colour what is shown.
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \x1b[31mred\x07 \u202egnp.exe"


def shown_fleet(client: redis.Redis, said: str = EVIL) -> SteppedFleet:
    """A fleet on a real server, with a trial of 30 jobs; `said` stands in every field of them."""
    made = SteppedFleet(
        client,
        draws=[0.1, 0.9] * 60,
        policy=TrialPolicy(share=0.5, guardrails=(Guardrail(name="cost_usd", cap=2.0),)),
        judge=JudgeSettings(command="true"),
    )
    made.add("reviewer")
    made.propose(name="reviewer")
    every_kind_of_pair(made, "reviewer", printed=said * 5)  # first: a case waits for real work
    made.on_trial()
    markdown = f"# What\n\n- **bold** {said}\n- `code`\n\n|a|b|\n|-|-|\n|1|2|\n\n[out](https://example.org)"
    made.enqueue(issue="local:shop#99", title="An issue in markdown", task=markdown)
    for number in range(30):
        job = made.enqueue(issue=f"local:shop#{number}", title=f"{number} {said}", task=said * 3).job
        made.clock.forward(600)
        if number < 26:
            made.end(job, SignalKind.FINISHED if number % 3 else SignalKind.AGENT_ERRORED, tail=said)
    claimed = made.app.jobs.newest(most=1)[0].id
    made.claim(claimed, lease_seconds=1e9)
    made.app.log_store.say(claimed, "text", said)
    made.app.log_store.flush()
    for act, thing in (("job cancel", claimed), ("issue pause", "local:shop#3"), ("trial stop", said)):
        made.app.decisions.note(NotedDecision(act=act, thing=thing, by=said, way="page", reason=said))
    made.app.breakers.close("claude:default", "*", until=None, words=said, by="ada")
    agent = made.app.agents.register(role=Role.BUILDER, job=claimed)
    asked = {"options": ["keep", said[:60]], "context": said}
    letter = Letter.checked(to="operator", type_="decision_gate", subject=said, body=said, payload=asked)
    made.app.post_office.send(Author(address=agent.name), letter)
    clocks = ClockStore(client, made.app.keys)  # by the server's time, which the web process goes by
    clocks.report("jobs@here", 0.25, version="0.1.0", queues=["champion", "canary"])
    clocks.report("jobs@there", -1.5, version="0.2.0", queues=["control"])
    clocks.report("beat@here", 0.0, version="0.1.0")
    made.app.harvester.harvest()
    return made
