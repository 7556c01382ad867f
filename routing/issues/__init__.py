"""Issues: the work items of a forge, and what their text and labels say about the work.

A body is taken apart (`body_text`), its statements are read (`dependencies`, `stated_words`, `references`),
and what they say becomes `metadata`; a model may fill the gaps (`model_reader`). All of it is text from
outside: it is parsed and never obeyed, and reading it cannot fail in a way that stops the reader. Nothing
here knows a forge or a store.
"""
