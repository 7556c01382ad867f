"""Gitea and Forgejo. `kind.py` puts the parts together; `rest/` has what they share with GitHub."""
