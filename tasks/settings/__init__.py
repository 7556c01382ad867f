"""Settings: one TOML file and the environment over it, read once and frozen.

Sections that belong to one room live there (`routing/forges/config.py`, `tasks/notify/settings.py`); here
they are put together, read, and checked against each other. A name that is replaced is still read, with a
warning.

What belongs here: names, types, bounds and defaults. No part is made and no server is asked; every fault is a
SettingsError that names the setting and its variable, and shows no secret.
"""
