"""Mail between agents, and between people and agents.

`post_office` is the way in for all who send, read or claim mail. A `letter` is what a sender writes, `mail`
what is stored, `receipt` what the sender gets back; `payloads`, `role` and `address` say what is allowed;
`delivery` writes the mail of a turn as one message. How an agent's own command reaches the post office is
`mail_socket/`.
"""
