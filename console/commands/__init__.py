"""The commands of `coalmine`, one file a group."""
