"""The HTTP server: webhooks of forges, health checks and `/metrics`.

Handlers run on one event loop, so they must not wait: a body and a call to the store have time limits
(`request_limits`), and calls that block run in threads. Errors become JSON answers in `error_answers` and
nowhere else, and no answer shows more than the caller may know.

What a delivery means is decided in `routing.webhook`; this room knows about sockets, headers and statuses
only. The docstrings of handlers and answer models are published in `/openapi.json`, so they are written for
the people who write clients.
"""
