"""Runtimes: how each kind of agent program is started, and what its lines mean.

`runtime` is the protocol, `program` the base of all that ship, `json_lines` and `agent_event` what their
lines become, `registry` the table of them, `launch` the boundary: code of a runtime may raise anywhere, and
that ends one turn. A new runtime is one file here and one line in the registry; see docs/add-a-runtime.md.
"""
