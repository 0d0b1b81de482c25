"""Text without characters that a terminal obeys or does not show.

A terminal acts on escape sequences and other control characters, and it does not show bidirectional controls,
zero-width characters and line separators. A text that contains them looks different from what it is. They are
replaced by their escapes, as in JSON; all other characters remain.
"""

import json
import re
from typing import Any

# Unicode 16: the categories Cc, Cf, Cs, Zl and Zp without the visible signs that precede numbers in some scripts;
# Default_Ignorable_Code_Point of DerivedCoreProperties.txt; and the blank pattern of Braille.
_HIDDEN = (
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xD800, 0xDFFF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_CLASS = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _HIDDEN)
_ANY = re.compile(f"[{_CLASS}]")
_ANY_BUT_LINE_FEED = re.compile(f"(?!\n)[{_CLASS}]")


def visible(text: str) -> str:
    r"""One line: every hidden character of the text, also a line feed, is replaced by its escape.

    >>> print(visible("Pay 10 EUR\x1b[8m or 1000000"))
    Pay 10 EUR\u001b[8m or 1000000
    """
    return _ANY.sub(_escape, text)


def visible_lines(text: str) -> str:
    """As `visible`, but line feeds remain."""
    return _ANY_BUT_LINE_FEED.sub(_escape, text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""JSON with the hidden characters of its strings as escapes; it is parsed to the same value.

    >>> print(json_text({"name": "Ștefan\u202e"}))
    {"name": "Ștefan\u202e"}
    """
    return visible_lines(json.dumps(value, ensure_ascii=False, indent=indent))


def _escape(match: re.Match[str]) -> str:
    """The escape of a character in JSON: a pair of them for a code point above U+FFFF."""
    return "\\u007f" if match.group() == "\x7f" else json.dumps(match.group())[1:-1]
