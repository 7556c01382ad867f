"""The connection to Redis: its address, its keys, its scripts, its errors and its health."""
