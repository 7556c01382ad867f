"""Stand-ins in memory: forges, repositories, deliveries, and what goes wrong with them."""
