"""Telling people what happened: a consumer of the event stream, and the sinks that it sends to.

The way of a notification: `Notifier` reads events, `facts` looks up what they leave out, `translation` makes
notifications of a few of them, `notices` are what waits for each sink, and a sink sends. Nothing here changes
a job, an issue or a version, and nobody waits for a sink.
"""
