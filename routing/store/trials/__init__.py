"""Templates in Redis: versions, trials and their ledgers."""
