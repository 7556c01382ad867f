"""Child processes: started, read, and ended together with everything that they started.

What belongs here: the one owner of child processes (`child`), a bounded run of one command
(`bounded_command`), and what both need to move bytes and to find processes. No other room starts a process (a
test holds that); the others say what to run, with which limits, and what to do with what it prints. Nothing
here knows what a program is for: no agent, no git, no server.

All of it works on Linux. On macOS there is no parent death signal, no process table, no cgroup and no
notification of an exit: there a child is ended with its process group, and its exit is looked for.
"""
