"""Mail and agents in Redis."""
