"""Plumbing that every package of the family carries as identical copies.

Nothing here knows what the package is for. A file of one name has the same bytes wherever it is
carried (``nox -s common``); each asks of its package only the error classes named in it.
"""
