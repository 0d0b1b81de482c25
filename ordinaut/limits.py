"""Limits that two processes must agree on."""

MAX_CHAIN_DEPTH = 8
"""How many runs may follow from each other through events and child runs; the first run has depth 0."""
