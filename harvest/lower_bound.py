"""How many canary jobs any test with these error rates needs on average; no method does better."""

import math

_STEPS = 100
_EDGE = 1e-9


def kl(p: float, q: float) -> float:
    """Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), in nats."""
    total = 0.0
    if p > 0:
        total += p * math.log(p / q)
    if p < 1:
        total += (1 - p) * math.log((1 - p) / (1 - q))
    return total


def lower_bound(*, baseline: float, difference: float, gap: float, share: float, level: float) -> float:
    """Expected canary jobs to reject "D is at `gap`" when D is `difference` and scores are 0 or 1.

    share * kl(1 - level, level) / min over q0 of
    (1 - share) * kl(p0, q0) + share * kl(p1, q0 + gap); infinite when D is at the gap.
    """
    canary = min(max(baseline + difference, 0.0), 1.0)

    def information(champion: float) -> float:
        """What a job tells on average against the null whose champion has this mean; convex."""
        return (1 - share) * kl(baseline, champion) + share * kl(canary, champion + gap)

    low, high = max(0.0, -gap) + _EDGE, min(1.0, 1.0 - gap) - _EDGE
    for _ in range(_STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if information(left) < information(right):
            high = right
        else:
            low = left
    least = information((low + high) / 2)
    return share * kl(1 - level, level) / least if least > _EDGE else math.inf
