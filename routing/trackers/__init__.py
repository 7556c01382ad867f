"""Trackers: where issues are that no forge has, such as Jira and Linear; the work on them goes to a forge.

A tracker is the issue half of a forge (`routing.forges.forge.IssueTracker`). Its project stands where forges
have a repository, so `jira:SHOP#12` is SHOP-12. Here are the description (`config.py`), the registry, and
which repository an issue's work goes to (`site.py`). Each kind has a folder with a `kind.py`, and knows no
other.
"""
