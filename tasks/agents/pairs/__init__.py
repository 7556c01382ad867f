"""What a job of a pair needs beside its turn: a base that both jobs share, and a judge of their work.

`pair_work` is what the runner asks of a pair; `handed_work` packs what an agent left, so that any host can
judge it; `judging` judges both halves under one lease; `judge` runs the command that scores a commit, the
same and blind for both versions. A shadow's commit stays on this host: its push goes to the mirror
(`repository`).
"""
