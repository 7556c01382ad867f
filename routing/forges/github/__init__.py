"""GitHub, on github.com or on a server of one's own."""
