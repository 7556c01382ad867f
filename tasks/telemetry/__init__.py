"""Traces for OpenTelemetry: what becomes of an issue, from its webhook to its score, as spans.

`story` makes spans of events and records, and is pure; `otlp` writes them as OTLP and sends them; `tracer`
follows the stream of events. Ids of spans follow from the ids of what they are about. So nothing is carried
along with a job, a score that comes days later finds its trace, and what is sent twice is the same span.
Tasks, prompts and what agents print are not sent; the reasons of what failed are.
"""
