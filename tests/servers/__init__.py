"""Servers that tests start: Redis, forges over HTTP, git over HTTP, receivers of notifications."""
