"""The forges that a fleet serves: what is taken in from them, dispatched, watched and told."""
