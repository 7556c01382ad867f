"""GitHub: https://docs.github.com/rest. `kind.py` puts the parts together; `rest/` is shared with Gitea.

What belongs here: paths, bodies and habits that GitHub alone has. Each file names the page of its
documentation that it follows; where GitHub does something else than it documents, a comment says so.
"""
