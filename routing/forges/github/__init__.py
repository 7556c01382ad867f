"""GitHub: https://docs.github.com/rest. `kind.py` puts the parts together; `rest/` is shared with Gitea."""
