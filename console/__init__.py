"""Floor 4: the people's door. The command line; pages and HTTP come beside it."""
