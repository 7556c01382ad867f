"""What is for people with a browser: who they are, and the pages that they get.

`guard` decides whether a request is let in, `session` by what it is known who asks, `form` whether what was
sent comes from a page of ours. `page_routes` reads and renders the pages of `console.pages`.
"""
