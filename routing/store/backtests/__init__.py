"""Backtests in Redis: runs with their pairs, the cases that are worked on, and kept results.

What a verdict follows from, and which case comes next, is not known here.
"""
