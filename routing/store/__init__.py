"""Redis and Lua: keys, scripts and one typed wrapper a script. Nothing outside this package writes keys."""
