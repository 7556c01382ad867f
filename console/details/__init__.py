"""What is known of one thing, or of one kind of things, read at once from the stores.

Each file has a record with a `document` for scripts, and the function that reads it. The command line, the
API and the pages call the same function, so that they say the same. Nothing here changes anything, prints, or
asks a forge; a thing that does not exist is the store's own error.
"""
