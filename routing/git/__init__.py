"""Git as a child process, and repositories on other machines.

What belongs here: how a git is started (environment, time limit, errors), and how it reaches a remote with a
secret that nobody else learns. Nothing here knows a forge, a job or a work tree; who works on a repository
decides what git is asked to do. No other room starts git.
"""
