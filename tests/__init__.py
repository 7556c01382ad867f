"""The test suite: behaviour, on real parts where they matter."""
