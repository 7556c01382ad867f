"""Programs that tests run: agents that follow a script, the command line, the web process."""
