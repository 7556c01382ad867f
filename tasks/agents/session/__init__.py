"""Sessions: the conversation of an agent across turns, and the state that it is in.

`state` has the states and the legal steps, `record` what is stored, `step` what the end of a turn means for
the session. All of that is pure; `conversation` alone writes to the store. Winning and ending turns is
`turn/`.
"""
