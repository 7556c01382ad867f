"""Accounts at work: what an agent is given of one, and which limit of it ended a turn.

The rules are in `routing/accounts`; here they meet agent programs and their words.
"""
