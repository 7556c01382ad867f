"""The life of a trial: `opening` begins it, `harvester` advances its test and carries out its verdict.

`modes` says which test a trial has. Nothing else in this room knows what the unit of a test is.
"""
