"""Issues on their way through the fleet: collected, dispatched, watched, closed.

Collector (forge to backlog), dispatcher (backlog to jobs), watcher (pushed work to its end), closing (what
the issue shows of the end) and landings (what people do with the work later). A forge is reached through its
`ForgeSite` alone; how an agent runs is not known here, and nothing here knows of notifications.

Redis holds the truth and a forge shows it: the outcome is recorded first, and every effect on a forge may be
repeated. One item's failure must not keep the next from its turn, see `LogAndContinue`.
"""
