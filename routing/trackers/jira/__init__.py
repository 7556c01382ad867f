"""Jira Cloud, by version 3 of its REST API: https://developer.atlassian.com/cloud/jira/platform/rest/v3/.

Texts are documents there (`document.py` reads them, `writing.py` makes them), and states are
reached by transitions.
"""
