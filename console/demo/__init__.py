"""The demonstration: a small shop, a scripted agent, one rollback and one graduation, all of it real."""
