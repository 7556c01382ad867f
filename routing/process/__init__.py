"""Child processes: started, read, and ended together with everything that they started."""
