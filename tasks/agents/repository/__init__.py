"""The repositories that agents work in: a mirror of each on this host, and a work tree for each job.

What belongs here: paths of this host, fetching, checking out, committing leftovers, pushing, cleaning up.
What an agent has written is never trusted: no git of ours uses its `.git` as a repository (see `worktree`),
and names from outside are checked before they become paths (see `place`). Nothing here starts an agent or
writes to the store.
"""
