"""The paired test: both versions on the same issue, so that the issue's difficulty cancels.

The unit is a pair (`pair_ledger`), its outcome the canary's score less the champion's. Its stakes are in
`pair_wager`, and `pair_rule` says on what; what a trial of pairs counts is in `pair_counts`. `pair_evidence`
is the test, and `pair_plan` says beforehand how many pairs to expect.

All of it is pure: it knows neither clock, store nor randomness.
"""
