"""What real programs did, as files, and what the tests read of them."""
