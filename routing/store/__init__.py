"""Redis and Lua: keys, scripts and one typed wrapper a script.

A folder a kind of record, each store beside its scripts; `redis/` is what all of them share. No other code of
ours uses a command of a connection (a test holds it). Others do write on the server: Celery keeps its queues
there, and anybody who reaches it can change any key. Records are checked for their form when they are read.
Stores answer with records, enums and plain values: they decide nothing that a pure function can decide.
"""
