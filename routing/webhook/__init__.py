"""Webhooks: deliveries of forges, their signatures, and whether they concern us.

A delivery is believed no further than "look at this issue again": the forge is asked what is true.
How a kind signs and what its bodies look like is a `WebhookDialect`, which the kind's own folder gives.
"""
