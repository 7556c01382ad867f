"""HTTP to servers of others: connection, rate limit, circuit breaker, cache, pages and addresses.

Nothing here knows a forge: forges, the model that reads issues and notifications share it. Times are seconds
since the epoch, and clocks come in as arguments.
"""
