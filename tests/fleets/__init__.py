"""Fleets for tests, from one that is moved by hand to one of real workers."""
