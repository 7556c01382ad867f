"""What `coalmine status` shows: the whole fleet at a glance, read from the stores.

`fleet_status` has the record, `fleet_reading` makes it from reads alone, `trial_outlook` says when the work
that is merged counts, `status_view` and `status_document` print it. Nothing here changes anything, and no
forge, worker or broker is asked: the answer comes at once, also while those are away.
"""
