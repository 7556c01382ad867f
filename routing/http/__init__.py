"""HTTP to servers of others: connection, rate limit, circuit breaker, cache, pages and addresses.

Nothing here knows a forge: forges, the model that reads issues and notifications share it. What is waited for
is measured by a monotonic clock, which no change of the time of day moves; seconds since the epoch are for
what servers say, and for what callers get to know. Clocks come in as arguments.
"""
