"""The forge protocol and its parts. One folder a kind of forge."""
