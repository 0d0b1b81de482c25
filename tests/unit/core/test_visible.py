"""Hidden characters are escaped, and nothing else changes."""

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.visible import json_text, visible, visible_lines

VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def test_every_control_and_format_character_is_escaped() -> None:
    left = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and code not in VISIBLE_FORMATS
        and visible(chr(code)) == chr(code)
    ]
    assert left == []


def test_letters_marks_numbers_and_signs_remain() -> None:
    changed = {
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code))[0] in "LMNPS" and visible(chr(code)) != chr(code)
    }
    assert {unicodedata.name(chr(code), "")[:8] for code in changed} <= {
        *("COMBININ", "HANGUL C", "HANGUL J", "KHMER VO", "MONGOLIA", "BRAILLE ", "HANGUL F", "HALFWIDT", "VARIATIO"),
        "EGYPTIAN",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Pay 10 EUR\x1b[8m or 1000000", "Pay 10 EUR\\u001b[8m or 1000000"),
        ("a\rb\bc\x7fd\x9b31m", "a\\rb\\bc\\u007fd\\u009b31m"),
        ("eur\u202e000\u2069", "eur\\u202e000\\u2069"),
        ("a\u200bb\ufeff\u2028c\u3164", "a\\u200bb\\ufeff\\u2028c\\u3164"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("Ștefan plătește 10 €, 日本, ★", "Ștefan plătește 10 €, 日本, ★"),
    ],
)
def test_hidden_characters_have_the_escapes_of_json(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert json.loads(f'"{shown}"') == text


def test_line_feeds_remain_in_texts_of_several_lines() -> None:
    assert (visible("a\n\tb"), visible_lines("a\n\tb\r\n")) == ("a\\n\\tb", "a\n\\tb\\r\n")


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_parsed_to_the_same_value(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert visible(text) == text
