"""One suite a protocol, run against each of its implementations."""
