"""Floor 2, what came of the work: from the signals of a job to the end of its trial.

The way through the room: `settling` turns signals into scores (`score`), `ledger` is what a trial keeps of
them, `wager`, `segment`, `evidence` and `trial_evidence` compute the test from the ledger, `verdict` decides,
and `harvester` writes state and verdict in one step. `opening` begins trials, `plan` and `explanation` show
people what to expect and what happened.

Everything between a score and a verdict is a pure function of policy and ledger. Nothing here knows how
messages travel, and only `settling`, `harvester` and `opening` touch a store.
"""
