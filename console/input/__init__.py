"""What people give on the command line, checked before anything is written.

Each file turns options, or a file that they name, into a record of a floor below, or raises InvalidInputError
that says which option is wrong and what to give instead.
"""
