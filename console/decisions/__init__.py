"""What people decide, where it is more than one call of a store: for the command line and the pages.

Each function takes the parts, what is meant, and who decides, and returns a record of what was done. It
raises before anything is written, or not at all. What is said of it is the caller's.
"""
