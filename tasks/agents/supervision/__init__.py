"""Agents without a supervisor, without words or without a job: what is done about them."""
