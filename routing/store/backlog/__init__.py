"""The backlog in Redis: items with their dependencies, deliveries of webhooks, answers of the metadata model.

The scripts hold the rules that follow from dependencies; which issue is dispatched is decided in
`routing/backlog`.
"""
