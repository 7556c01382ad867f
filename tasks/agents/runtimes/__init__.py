"""Runtimes, one file a kind of agent program."""
