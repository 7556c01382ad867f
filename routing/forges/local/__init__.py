"""The local forge: a folder of issues, a git repository, and a command that serves as CI."""
