"""Containers as sandboxes, by the command line of podman, docker, or an engine that takes the same.

What belongs here: whether an engine works here (`engine`); the command line that runs a program in a
container, which is pure (`container_argv`); the first process of a container (`first_process`) and the
worker's link to it (`link`); and a turn's sandbox, made of these (`container_sandbox`).

What must hold: a container lives no longer than the link to its worker, whatever becomes of the engine's
command line; and no value of a variable that may be a secret stands on a command line.
"""
