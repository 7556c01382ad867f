"""The sandbox of one turn: how its agent is confined on this host, and what it is shown there.

What belongs here: whether a version may run here at all, and in what (`choice`); the folders that a turn has
for itself (`turn_folders`); and what a turn is shown (`turn_sandbox`). How a sandbox is made into a command
line is `routing.sandbox`'s; nothing here starts a process.

What must hold: a version that names a sandbox never runs without it.
"""
