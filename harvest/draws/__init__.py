"""The test by draw: each job is one version's, and the issues are spread over both by chance.

The unit is a job (`draw_ledger`), its stakes are in `draw_wager`, computed from the champion's mean so far
(`baseline`); `draw_evidence` is the test, and `draw_plan` says beforehand how many jobs to expect.

All of it is pure: it knows neither clock, store nor randomness.
"""
