"""The checks of `coalmine doctor`: each returns findings with a remedy, and changes nothing.

The names of checks are keys of `--json`: they stay, and so do the three states `ok`, `warning` and
`problem`. A check that cannot look says why, in place of raising. A problem keeps the fleet from working
and makes the exit code 1; a warning is something a person should know. Each message says what is wrong in
which place, the remedy names the setting or the command that corrects it, and neither holds a secret.
"""
