"""One turn: an agent process from its prompt to its result."""
