"""The files that this process holds open."""

import gc
import os


def open_descriptors() -> int:
    """How many: what earlier tests left to the collector is closed first, so that it is not counted."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names are all that is wanted
