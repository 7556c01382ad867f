"""`coalmine demo`: a small shop, a scripted agent, one rollback and one graduation.

`shop` makes the repository and its issues, `agent` is the program that works on them, `story` plays two
trials on a real fleet, `board` shows one while it runs, `summary` says what happened.
"""
