"""All that a fleet keeps, as lines of JSON: written to a file, checked, and put into another namespace.

Here every kind of key is known, with the decision whether it is exported. A record's own form stays where it
is: what each kind holds is read by the store of that kind.
"""
