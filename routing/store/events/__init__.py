"""The event stream in Redis, and the notifications made from it."""
