"""A whole fleet on this machine: its processes and the checks before they start."""
