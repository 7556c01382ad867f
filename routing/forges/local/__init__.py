"""The local forge: a folder of issues, a git repository, and a command that serves as CI.

It needs no server and no token, which makes it the forge of the tutorial, of demos and of most tests, and one
that people use for private repositories.

What belongs here: everything that touches the user's repository, the folder of issue files, or the folder
`state`. `forge.py` implements the protocol; `issues.py` and `issue_file.py` hold the issues, `branches.py`
and `merge.py` the change requests, `ci.py` the statuses. Nothing here speaks HTTP.

Several processes of the fleet, and the people whose files these are, work on the same folders at the same
time. So each write is a whole file under a lock, or a compare-and-swap of git, and a person's file or work
tree is never overwritten.
"""
