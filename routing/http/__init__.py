"""HTTP to other people's servers: one client with rate limit, circuit breaker and cache. Knows no forge."""
