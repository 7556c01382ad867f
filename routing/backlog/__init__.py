"""The backlog: issues that are known and not finished, what they wait for, and the gates before dispatch."""
