"""A fleet at work for a long time, without faults: `python -m tests.soak`, or `make soak`.

`run` has a real fleet of `tests.chaos.fleet` work at many times the usual speed, and looks at each process
and at its server every few seconds: `samples`. Whether anything grows that should not is decided at the end
by `series`, which knows nothing of the fleet. `__main__` prints the report, and exits with 1 where something
grew.
"""
