"""A private Redis server for one machine."""
