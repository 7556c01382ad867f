"""Floor 2: what came of the work. Signals, scores, evidence, verdict, graduation and rollback."""
