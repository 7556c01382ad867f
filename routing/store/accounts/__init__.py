"""Breakers of accounts in Redis: closed by the turn that met a limit, opened by the probe or a person."""
