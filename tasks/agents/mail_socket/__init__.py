"""The local socket at which agents hand in mail."""
