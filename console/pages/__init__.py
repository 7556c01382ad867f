"""Pages for people: records in, HTML out. No store, no socket and no clock is known here.

`rendering` has the templates and the rule that all text from outside is escaped, with its control characters
made visible; the room `pictures` draws; `needs` says what waits for a person. `templates/` has a file for
each page, `static/` the style sheet and the script that keeps a page up to date. The routes are
in `console.web`.

A page works without JavaScript and loads nothing from another host: its content security policy allows
neither scripts of others nor anything inline, so templates have no `style` and no `on…` attributes.
"""
