"""What pages draw, as SVG made on the server: a file for each picture, and `drawing` that all are made with.

A picture is a pure function of what it shows; its dots are links, and a table beside it has the same as text.
"""
