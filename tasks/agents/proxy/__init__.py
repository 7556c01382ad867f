"""The way of a sandbox to the network: a proxy of the worker's, outside, that lets named hosts through.

What belongs here: which hosts a turn may reach (`hosts`, pure), the head of a request (`request_head`, pure),
moving bytes (`relay`), and the proxy itself with a gate for each turn (`network_proxy`). A sandbox has a
network of its own with nothing but a loopback. Listening sockets are made there from outside, and handed to
the worker, so that nothing of ours runs inside.

What must hold: a host is asked for by its name and logged before it is reached; an address that it leads to
is checked, not only its name; a secret that is added goes to the host that it is for, and nowhere else.
"""
