"""`coalmine demo`: a small shop, a scripted agent, one rollback and one graduation.

`shop` makes the repository and its issues, `agent` is the program that works on them, `story` plays two
trials on a real fleet, `board` shows one while it runs, `summary` reports what happened.

Nothing here is a special case of the fleet: it is driven by public settings and the parts that commands
use, so that what the demonstration shows is what the product does. Only the agent's answers are made up.
"""
