"""The form of sensitive values outside of a pipeline engine: encrypted in the tables, `[sensitive]` in answers.

An engine writes `[sensitive:KEY_ID:CIPHERTEXT]` in place of a value, alone or inside a longer text. Only engines have
the keys. Every other process handles these texts like any text, and the gateway replaces them in what it sends.
"""

import re

MASK = "[sensitive]"
PREFIX = "[sensitive:"
SEALED = re.compile(r"\[sensitive:([A-Za-z0-9_.-]{1,64}):([A-Za-z0-9_-]+)\]")


_SEALED_OR_CUT = re.compile(r"\[sensitive:[A-Za-z0-9_.-]{0,64}(?::[A-Za-z0-9_-]*\]?)?")


def masked(text: str) -> str:
    """Returns a text with the mask in place of encrypted values.

    >>> masked("Bearer [sensitive:2027:AbC_-9]")
    'Bearer [sensitive]'

    Also one that a limit of a message has cut off:

    >>> masked("cut: [sensitive:2027:Ab")
    'cut: [sensitive]'
    """
    return _SEALED_OR_CUT.sub(MASK, text) if PREFIX in text else text
