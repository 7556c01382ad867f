"""Templates of agents: their versions, the trials of new ones, and the draw that routes a job to one.

`version` and `trial` are the records, `templates` and `trials` the steps that people and policies make with
them; `route` decides which version works a job, and is pure. A verdict on a trial is not made here but in
`harvest`, which this floor knows nothing of: it stores policy and evidence as text.
"""
