"""Accounts: the credentials that agents work with, their limits, and what is closed for how long. Pure.

`account` is a credential, `pool` which of them a version may use, `limit` what was met, `reset_time` when it
ends by the words of a program, `breaker` what the fleet knows of an account, `closed_account` what people
see of one that is closed, `prices` what tokens cost.
Nothing here speaks to a server: `routing.store.accounts` keeps the breakers, and the lease of an account is a
part of the claim of a job.
"""
