"""What the command line prints of trials: their state, what a verdict rests on, a replay against the ledger.

Verdicts come from `harvest`; here they are put into words, and into JSON with stable keys. The rules of
`console.output` hold here too.
"""
