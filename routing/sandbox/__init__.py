"""Sandboxes: what a program may reach, and the command line that holds it to that.

What belongs here: the profile, as a part of a version (`profile`); what of this machine a program needs to
run at all (`machine_files`); the command line of bubblewrap, which is pure (`bubblewrap`); whether that works
here (`bubblewrap_here`); which system calls are refused (`system_calls`); and what a program takes of the
machine (`usage`). Agents and the CI of the local X

What must hold: nothing is shown that is not in a list here, in the profile, or named by the caller; and a
command line either confines its program or is not made.
"""
