"""A tutorial in tests: one concept each."""
