"""Judging of pairs in Redis: the work that both jobs hand over, and the lease of the one who judges it.

A pair is judged when neither of its jobs has anything more to say: the harvest decides that, and in which
order. What both are worth is written in one step, once.
"""
