"""`/metrics`: numbers of the fleet for Prometheus, and what each one means.

`metric_list` names every metric once, with its unit, its meaning and its labels; `docs/metrics.md` is held to
it by a test. `readings` takes the numbers from the stores at each scrape, so that any web process, and one
that was started a moment ago, answers the same; `exposition` writes them in Prometheus' text form. Only what
reached this process itself (webhooks) is counted here.

A label has few values for ever: names from the settings, templates, states. Never a job, an issue, a version
or text from outside.
"""
