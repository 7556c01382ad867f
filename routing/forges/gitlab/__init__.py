"""GitLab, on gitlab.com or on a server of one's own: projects in nested groups, merge requests, and webhooks.

What belongs here: everything in which it differs from the two that `rest/` is about. Its own words (project,
merge request, pipeline, note) stay in this folder.
"""
