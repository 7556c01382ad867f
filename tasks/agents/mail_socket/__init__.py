"""How an agent's own command reaches the post office: a local socket of the worker.

`command` is the program that agents call, and imports nothing of ours; `unix_socket` takes its line; `server`
knows by its token whose turn it is; `request` says what can be asked; `child_dispatch` makes child jobs. No
agent ever has the address of the store.

What comes over the socket is an agent's and not trusted: who sends is decided by the token, never by the
request. Agents of one host run as one user and could read each other's tokens; the socket keeps mistakes
apart, not attackers.
"""
