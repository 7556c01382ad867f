"""Suites that need the programs of others; `make test-real` installs those first."""
