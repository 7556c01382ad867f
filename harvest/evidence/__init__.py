"""What decides a trial, whatever its unit is: from the outcomes of jobs or pairs to a verdict.

`policy` says what is asked, `wager` and `segment` what wealth is made of, `evidence` is the wealth against
one null, `trial_test` the whole test with its bookkeeping, `health` watches whether it can be believed,
`verdict` decides, and `explanation` computes it all a second time for people. The units stand in `draws` and
`pairs`, which build on this room.

All of it is pure: it knows neither clock, store nor randomness.
"""
