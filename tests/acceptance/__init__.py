"""The whole thing through its command line."""
