"""What an error of the driver's says of a lease: nobody can have taken it, or nobody can say."""

import pytest
import redis
from redis.exceptions import ResponseError

from routing.errors import StoreAwayError, StoreRefusedError
from routing.store.redis.faults import FAILOVER_ATTRIBUTE, translate


def refused(error: redis.RedisError) -> bool:
    """Whether nobody else can have been served; the error is one of the store that is away in any case."""
    found = translate(error, doing="renewing")
    assert isinstance(found, StoreAwayError)
    return isinstance(found, StoreRefusedError)


@pytest.mark.parametrize("code", ["MISCONF", "OOM", "LOADING", "BUSY"])
def test_a_server_that_refuses_everybody(code: str) -> None:
    """Its record is the only one, and nobody can write there."""
    assert refused(ResponseError(f"{code} no"))


@pytest.mark.parametrize("code", ["READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"])
def test_a_server_that_was_set_aside(code: str) -> None:
    """It refuses its own clients; those of the master in its place are served."""
    assert not refused(ResponseError(f"{code} no"))


@pytest.mark.parametrize("error", [ResponseError("MISCONF no"), redis.ConnectionError("refused")])
def test_a_server_that_sentinel_may_replace(error: redis.RedisError) -> None:
    """Whatever it says, another one may serve everybody else."""
    error.__cause__ = ConnectionRefusedError()
    assert refused(error)
    setattr(error, FAILOVER_ATTRIBUTE, True)
    assert not refused(error)
