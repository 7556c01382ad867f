"""What GitHub and Gitea do alike over HTTP.

What belongs here: the client, the shapes of bodies where the two agree, and base classes whose abstract
methods are the points at which they differ. Nothing here asks which of the two it talks to; where they
differ, `github/` or `gitea/` has a subclass.

All that a forge sends is from outside: it is checked by a model before it is used, goes into a path only
through `path.py`, and into a message only as one printable line. The token goes to the configured host alone
and is in no message.
"""
