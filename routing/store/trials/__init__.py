"""Templates in Redis: versions, their states, trials and the ledgers of trials.

A change of champion, its review, its event and the end of its trial are one script. A verdict is computed in
`harvest`; `trial_advance` carries it out only from the revision that it was computed from.
"""
