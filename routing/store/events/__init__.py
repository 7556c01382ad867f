"""The event stream in Redis, and the notifications made from it.

Events are written by the steps that they report, in their scripts; here they are read.
"""
