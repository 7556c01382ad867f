"""What the command line prints: for people as text and tables, for scripts as JSON with stable keys.

One file for each kind of thing (`job_views`, `issue_views`, …) has both forms of it. `fields` declares a
field once for both, `rendering` has the forms of numbers, times and tables, `terminal` writes them. Nothing
here changes anything. Text from outside goes through `rendering`, which takes control characters out.
"""
