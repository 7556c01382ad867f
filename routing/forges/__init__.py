"""Adapters of the `Forge` protocol, one file a kind of forge."""
