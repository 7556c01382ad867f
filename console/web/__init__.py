"""The HTTP server: pages, their API, webhooks of forges, and `/metrics`.

Handlers run on one event loop, so they must not wait: a body and a call to the store have time limits
(`request_limits`), and calls that block run in threads. Errors become answers in `error_answers` and nowhere
else, and no answer shows more than the caller may know. `api` has what is for programs, `people` what is for
browsers: who asks, and their pages.

What a delivery means is decided in `routing.webhook`, what a page looks like in `console.pages`; this room
knows about sockets, headers and statuses only. The docstrings of handlers and answer models are published in
`/openapi.json`, so they are written for the people who write clients.
"""
