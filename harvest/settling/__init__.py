"""From the signals of a job to its score.

`score` says what a job is worth, as a pure function of its signals; `settling` looks at the jobs that are due
and writes each score once, with its line in the ledger of the job's trial.
"""
