"""Backtests: both versions of a trial on past issues whose true change is known: nobody is exposed.

A case is a past issue with its hidden tests (`case`). Which files of a change are tests, which words of an
issue lead to its answer, and what a proof says of a case is decided here too (`file_kinds`, `case_text`,
`case_proof`).

All of it is pure: it knows neither clock, store, git nor randomness.
"""
