"""Mail between agents, and between people and agents."""
