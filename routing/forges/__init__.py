"""Forges: where issues come from and where work is judged.

Here are the protocol (`forge.py`), the description (`config.py`), the registry and the records that all kinds
share. Each kind has a folder with a `kind.py`; `rest/` is what forges over HTTP have in common.
No kind knows another, and nothing outside of a kind's folder knows its paths, headers or words.
"""
