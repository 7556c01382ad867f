"""What people give on the command line, checked before anything is written.

Each file turns options, or a file that they name, into a record of a floor below, or raises
InvalidInputError that says which option is wrong and what to give instead. Files and git may be read here;
stores may not, so that all of it can be tried without a server. Values in messages are cut and quoted: they
are input.
"""
