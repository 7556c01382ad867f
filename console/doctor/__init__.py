"""The checks of `coalmine doctor`: each returns findings with a remedy, and changes nothing.

The names of checks are keys of `--json`: they stay, and so do the three states `ok`, `warning` and
`problem`. A server or a forge that does not answer is a finding and not an error. A problem keeps the fleet
from working and makes the exit code 1; a warning is something a person should know. Each message says what
is wrong and where, the remedy names the setting or the command that corrects it, and neither holds a
secret.
"""
