"""What concerns the fleet as a whole in Redis: the pause switch, and who is at which tick."""
