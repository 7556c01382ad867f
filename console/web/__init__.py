"""The web console: the webhook door and what says whether the process is well."""
