"""The backlog: issues that are known and not finished, what they wait for, and the gates before dispatch.

An issue gets here from its forge (a poll, or `intake` for what webhooks named), waits as an `item` until all
issues that come before it are done, and is dispatched when every gate is open. `gates` decides and is pure;
`backlog` carries steps out. Enqueueing the job itself is for `routing/jobs`.
"""
