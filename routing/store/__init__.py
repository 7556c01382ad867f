"""Redis and Lua: keys, scripts and one typed wrapper a script.

A folder a kind of record, each store beside its scripts; `redis/` is what all of them share. Nothing
outside this package uses a command of a connection (a test holds it). Stores answer with records, enums and
plain values: they decide nothing that a pure function can decide.
"""
