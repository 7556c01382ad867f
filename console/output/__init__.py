"""How things look on the command line and as JSON."""
