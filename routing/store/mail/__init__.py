"""Agents and their mail in Redis.

Who may write to whom, and which mail ends a task, is decided in `tasks/agents/mail`; a step here is atomic.
"""
