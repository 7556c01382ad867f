"""Gitea and Forgejo. `kind.py` puts the parts together; `rest/` has what they share with GitHub.

What belongs here: paths, bodies and habits that these two alone have, down to the oldest version in
`access.py`. The description of the API is the server's own, at `/api/swagger`.
"""
