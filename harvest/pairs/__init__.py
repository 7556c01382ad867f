"""The paired test: both versions on the same issue, so that the issue's difficulty cancels.

The unit is a pair, its outcome the canary's score less the champion's. What is kept of a pair (`pair_ledger`)
and what a trial of pairs counts (`pair_evidence`, `pair_counts`) are here; `pair_plan` says beforehand how
many pairs to expect. What is staked on a pair is in `harvest.pair_wager`, and the bookkeeping of evidence is
that of the draw, `harvest.evidence`.

All of it is pure: it knows neither clock, store nor randomness.
"""
