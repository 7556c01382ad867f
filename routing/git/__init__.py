"""Git as a subprocess, and repositories on other machines."""
