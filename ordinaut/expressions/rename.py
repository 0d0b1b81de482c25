"""Replaces paths in the text of an expression, for repairs."""

from collections.abc import Sequence

from ordinaut.expressions.tokens import tokenize


def renamed(text: str, wrong: Sequence[str], right: Sequence[str]) -> str | None:
    """Returns the expression with each occurrence of the path `wrong` replaced by `right`; None without occurrences.

    >>> renamed("length(step.a.items)", ["step", "a"], ["steps", "a"])
    'length(steps.a.items)'
    """
    tokens = tokenize(text)
    wrong_tokens = [word for key in wrong for word in (".", key)][1:]
    pieces: list[str] = []
    place = 0
    for index, token in enumerate(tokens):
        here = [_unquoted(following.text) for following in tokens[index : index + len(wrong_tokens)]]
        if here == wrong_tokens and (index == 0 or tokens[index - 1].text != ".") and token.start >= place:
            pieces += [text[place : token.start], ".".join(right)]
            place = tokens[index + len(wrong_tokens) - 1].end
    return "".join([*pieces, text[place:]]) if pieces else None


def _unquoted(word: str) -> str:
    return word[1:-1] if word.startswith('"') else word
