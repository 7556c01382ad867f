"""Floor 2, what came of the work: from the signals of a job to the end of its trial.

The way through the floor: `settling` turns signals into scores, and a trial keeps them in its ledger;
`evidence` is the statistical test, `draws` and `pairs` are its two kinds; `trials` begins trials, advances
their tests and carries out verdicts.

Everything between a score and a verdict is a pure function of policy and ledger. Nothing here knows how
messages travel, and only `settling` and `trials` touch a store.
"""
