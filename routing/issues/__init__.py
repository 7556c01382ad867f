"""Issues: the work items of a forge, and what their text and labels say of themselves."""
