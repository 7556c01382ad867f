"""What a job of a pair needs beside its turn: a base that both jobs share, and the judge of its work.

`judge` runs the command that scores a commit, the same and blind for both versions; `pair_work` is what the
runner asks of a pair. A shadow's commit stays on this host: its push goes to the mirror (`repository`).
"""
