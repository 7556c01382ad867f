"""A real fleet under faults: `python -m tests.chaos`, or `make chaos`.

`faults` and `plan` say what is done to the fleet and when, by a seed; `fleet`, `load` and `work` are the
fleet and what it is given to do. Its processes run `application`: the product, with a runner that does
nothing for most jobs, and with a `history` of the steps that must exclude each other. Whether anything was
lost, or done twice, is decided at the end from the records alone: `records` reads them, `conservation` and
`recovery` check them, and the history is checked by `linearizability` with `models`. `mutations` takes one
guard out of the product, so that each check is seen to fail. `run` is one run, from its start to its report.
"""
