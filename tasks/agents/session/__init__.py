"""Sessions: the conversation of an agent across turns."""
