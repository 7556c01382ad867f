"""What people give on the command line, checked."""
