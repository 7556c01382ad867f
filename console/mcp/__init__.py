"""The Model Context Protocol: an agent or an editor reads the fleet, makes jobs and answers gates.

`server` speaks the protocol and knows no fleet; `tool` says what a tool is; `reading_tools` and
`acting_tools` are the tools. A tool answers with the document that the command of the same name prints with
`--json`. Tools that act need the acting token of the web console.
"""
