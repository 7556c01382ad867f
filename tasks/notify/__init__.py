"""Reports to people what happened: a consumer of the event stream, and the sinks that it sends to.

The way of a notification: `Notifier` reads events, `facts` looks up what they leave out, `translation` makes
notifications of a few of them, `notices` are what waits for each sink, and a sink sends. Nothing here changes
a job, an issue or a version, and nobody waits for a sink.

At least once: a notification may come twice, under the same id, and is lost only if its event is older than
the settings allow, or the stream was trimmed before it was read. Its text is from outside, and sinks treat it
as such.
"""
