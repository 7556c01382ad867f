"""What the command line prints: for people as text and tables, for scripts as JSON with stable keys.

One file for each kind of thing (`job_views`, `issue_views`, …) has both forms of it: `…_document` makes the
JSON object, `…_view` the text. `fields` declares a field once for both, `rendering` has the forms of
numbers, times and tables, `terminal` writes them.

What must hold: nothing here changes anything. A key of a document is never renamed or removed, and a value
keeps its type; null says that there is none. Text for people may change at any time. Text from outside goes
through `rendering`, which takes control characters out; JSON escapes them by itself.
"""
