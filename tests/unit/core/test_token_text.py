"""Tokens have a form that scanners recognise, and a checksum that finds typing errors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.token_text import BASE32, BASE62, TokenText

SCANNED = re.compile(r"ord1_[a-z2-7]{16}_[0-9A-Za-z]{49}")
EARLIER = f"ord_{'0123456789abcdef'}_{'f' * 64}"
public_ids = st.text(BASE32, min_size=16, max_size=16)
texts = st.builds(TokenText, public_ids, st.text(BASE62, min_size=43, max_size=43))


def test_a_new_token_is_found_by_scanners() -> None:
    first, second = str(TokenText.random()), str(TokenText.random())
    assert SCANNED.fullmatch(first)
    assert first != second


@given(texts)
def test_a_token_is_read_as_it_was_written(token: TokenText) -> None:
    assert TokenText.parse(str(token)) == token


@given(texts, st.data())
def test_a_changed_character_is_noticed(token: TokenText, data: st.DataObject) -> None:
    text = str(token)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(BASE62 + "_").filter(lambda character: character != text[place]))
    assert TokenText.parse(text[:place] + other + text[place + 1 :]) is None


def test_earlier_tokens_are_read() -> None:
    assert TokenText.parse(EARLIER) == TokenText("0123456789abcdef", "f" * 64)


@pytest.mark.parametrize(
    "text", ["", "ord1_", str(TokenText("a" * 16, "B" * 43)) + "x", EARLIER + "0", EARLIER.upper()]
)
def test_other_texts_are_no_tokens(text: str) -> None:
    assert TokenText.parse(text) is None
