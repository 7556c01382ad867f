"""Settings: one TOML file and the environment over it."""
