"""Sessions in Redis: the lease of a turn, its process, and the steps between states.

Which step may follow which is the table in `tasks/agents/session/state.py`; the scripts are given it.
"""
