"""The backlog in Redis: items, deliveries of webhooks, and answers of the metadata model."""
