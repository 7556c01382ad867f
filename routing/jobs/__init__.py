"""Jobs: accepted by the mailbox, published to a queue, claimed, and moved on to their end.

What a job is, the one way to enqueue one (`mailbox`), who may do what with it (`lifecycle`), and the pure
decisions about it (`transitions`, `retry`). Keys and Lua are in `routing/store/jobs`; agents, sessions and
forges are not known here.
"""
