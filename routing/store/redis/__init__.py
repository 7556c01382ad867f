"""What all stores share: the server's address and connections, key names, scripts, errors and health.

No kind of record is known here, apart from the names of its keys.
"""
