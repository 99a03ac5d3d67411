"""Private data that has a form: where each kind of it stands in a text. One file a kind; names of people have no form.

Each file has a `HINT` in RE2's syntax, without which a text holds none of the kind (Arrow looks for it in whole columns),
and `find`, which gives the start and the end of each one in one text.
"""
