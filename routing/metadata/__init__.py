"""What an issue says of itself: difficulty, dependencies, estimate, agent, priority."""
