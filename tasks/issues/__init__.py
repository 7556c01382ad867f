"""Issues on their way through the fleet: collected, dispatched, watched, closed."""
