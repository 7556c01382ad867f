"""The checks of `coalmine doctor`: each returns findings with a remedy, and changes nothing.

The names of checks are keys of `--json`: they stay. A check that cannot look says why, in place of raising.
"""
