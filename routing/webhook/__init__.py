"""What a forge tells us: deliveries, their signatures, and whether they concern us."""
