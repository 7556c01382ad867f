"""Backtests at work: making cases from a repository's own past, keeping them as files, and running them.

`past_changes` finds what changed, `collecting` makes cases of it, `proving` shows that each can be believed,
`case_folder` and `common_form` read and write them. What a case is, and what is decided of it, is in
`harvest.backtests`; what a worker does for a job of a case is in `tasks.agents.pairs`.
"""
