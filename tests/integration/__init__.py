"""Real servers, workers, subprocesses and git."""
