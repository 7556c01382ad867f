"""Sessions in Redis: the lease of a turn, its process, and the steps between states."""
