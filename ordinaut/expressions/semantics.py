"""Revisions of the meaning of expressions.

A stored pipeline keeps the revision with which it was accepted, so that a later one cannot change what it does.
"""

FIRST = 1
"""Comparisons of values of different types are false or null, null in a text is `null`, and a placeholder inside a
string of an expression is literal text."""
CURRENT = 2
"""The three are errors."""
