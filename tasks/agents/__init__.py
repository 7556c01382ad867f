"""Running agents: turns, runtimes and worktrees."""
