"""Sandboxes: what a program may reach, and the command line that holds it to that.

What belongs here: the profile, as a part of a version (`profile`); what of this machine a program needs to
run at all (`machine_files`), and copies of what is shown of /etc (`etc_copies`); what one program is shown,
and its limits (`mount`); the command line of bubblewrap, which is pure (`bubblewrap`), whether that works
here (`bubblewrap_here`), and the first program inside (`launcher`); what listens in a network with an
allow-list, made from outside (`socket_maker`, and its program, `network_entrance`); which system calls are
refused (`system_calls`); what a program takes of the machine (`usage`), and whether that is too much
(`resource_watch`). Agents, the CI of the local forge and the judge are confined by it (`sandbox`).

What must hold: nothing is shown that is not in a list here, in the profile, or named by the caller; and a
command line either confines its program or is not made.
"""
