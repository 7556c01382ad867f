"""A private Redis-protocol server for one machine, for those who have none.

What belongs here: finding a server program, starting one for us alone, and ending it. Nothing here knows what
is stored in it: to the rest of Coalmine it is an address like any other (`COALMINE_REDIS_URL`).
"""
