"""Telling people what happened: a consumer of the event stream, and the sinks that it sends to."""
