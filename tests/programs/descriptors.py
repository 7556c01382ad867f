"""The files that this process holds open."""

import gc
import os
import warnings


def open_descriptors() -> int:
    """How many: what earlier tests left to the collector is closed first, so that it is not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of those tests, not of who asks
        gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names are all that is wanted
