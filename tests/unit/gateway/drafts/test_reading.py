"""Texts that are neither YAML nor JSON, and the document that they contain."""

from itertools import pairwise
from typing import Any

import pytest

from gateway.drafts.reading.text import read_text
from gateway.drafts.reading.yaml import UnreadableError
from gateway.drafts.tree import plain

STEP: dict[str, Any] = {"id": "w", "uses": "weather.forecast", "with": {"city": "Berlin"}}
DOCUMENT = {"name": "a", "steps": [STEP]}
BLOCK = "name: a\nsteps:\n  - id: w\n    uses: weather.forecast\n    with:\n      city: Berlin\n"
JSON = '{"name": "a", "steps": [{"id": "w", "uses": "weather.forecast", "with": {"city": "Berlin"}}]}'
READABLE = {
    "yaml": BLOCK,
    "json": JSON,
    "a fence": f"Here is the task:\n\n```yaml\n{BLOCK}```\nIt runs every day.\n",
    "an open fence": f"Sure!\n```\n{BLOCK}",
    "prose": f"Here is the task.\n\n{BLOCK}\nThis sends the weather to the team.\n",
    "prose before json": f"Here it is:\n{JSON}\nHope it helps!",
    "a mark of the byte order": f"\ufeff{BLOCK}",
    "carriage returns": BLOCK.replace("\n", "\r\n"),
    "tabs": BLOCK.replace("      ", "\t\t\t").replace("    ", "\t\t").replace("  - ", "\t- "),
    "a tab among spaces": BLOCK.replace("    uses", "\tuses"),
    "blanks that do not break": BLOCK.replace("    uses", "\u00a0\u00a0\u00a0\u00a0uses"),
    "a line too deep": BLOCK.replace("    uses", "     uses"),
    "a line not deep enough": BLOCK.replace("    uses", "   uses"),
    "no blank after the colon": BLOCK.replace("name: a", 'name:"a"'),
    "no blank after the dash": BLOCK.replace("  - id", "  -id"),
    "an equals sign": BLOCK.replace("name: a", "name = a"),
    "comments of C": BLOCK.replace("name: a", "// the name\nname: a // here"),
    "no closing bracket": "name: a\nsteps:\n  - {id: w, uses: weather.forecast, with: {city: Berlin}\n",
    "comments and commas": JSON.replace("}]}", "},],} // end").replace('"name"', '/* a */ "name"'),
    "a comment before json": f"// written by hand\n{JSON}",
    "single quotes": JSON.replace('"', "'"),
    "bare keys": JSON.replace('"name"', "name").replace('"id"', "id"),
    "missing commas": JSON.replace(', "uses"', ' "uses"'),
    "missing brackets": JSON[:-3],
    "quotes of a word processor": JSON.replace('"', "\u201c", 1).replace('"', "\u201d", 1),
    "anchors": "x: &c {city: Berlin}\nname: a\nsteps: [{id: w, uses: weather.forecast, with: *c}]\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", list(READABLE))
def test_the_document_is_read(kind: str) -> None:
    reading = read_text(READABLE[kind])
    [document] = map(plain, reading.documents)
    document.pop("x", None)
    assert document == DOCUMENT
    assert bool(reading.repairs) == (
        kind not in {"yaml", "json", "a mark of the byte order", "carriage returns", "anchors"}
    )


def test_values_that_need_quotes_are_quoted() -> None:
    text = "a: {{ x.y }}\nb: !steps.w.ok\nc: Note: it is {{ z }}\nd: {e: {{ f }}, g: 1}\nh: %{i}\nj: 'k'\n"
    expected = {"a": "{{ x.y }}", "b": "!steps.w.ok", "c": "Note: it is {{ z }}", "d": {"e": "{{ f }}", "g": 1}}
    assert plain(read_text(text).documents[0]) == expected | {"h": "%{i}", "j": "k"}


def test_texts_stay_as_they_are() -> None:
    """In quotes and in blocks, braces need no quotes."""
    text = 'a: "b: {{ c }}, d"\ne: |\n  f: {{ g }}\n  -h: i\nj: ${k}\nl: {m: ${n}, o: f"{p}"}\n'
    reading = read_text(text)
    expected = {"a": "b: {{ c }}, d", "e": "f: {{ g }}\n-h: i\n", "j": "${k}", "l": {"m": "${n}", "o": 'f"{p}"'}}
    assert plain(reading.documents[0]) == expected
    assert [repair.place.line for repair in reading.repairs] == [6]


def test_values_of_python_are_read() -> None:
    assert plain(read_text("{'a': True, 'b': None, 'c': 0x10, 'd': .5, 'e': undefined}").documents[0]) == {
        "a": True,
        "b": None,
        "c": 16,
        "d": 0.5,
        "e": None,
    }


def test_places_are_those_of_the_text() -> None:
    """Lines and columns begin at 1, also after prose."""
    reading = read_text("Text before the document.\nname: a\nsteps:\n  - {id: w, uses: b}\n")
    [document] = reading.documents
    assert document.place_of("name") == (2, 1)
    assert document["steps"][0].place_of("uses") == (4, 13)
    [document] = read_text('\n{"name": "a",\n "steps": [1, 2]}').documents
    assert document.place_of("steps") == (3, 2)
    assert document["steps"].place_of(1) == (3, 15)


@pytest.mark.parametrize("text", ["Please write a task.", "", "\n\n", "{" * 100])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read_text(text)
    assert len(refused.value.message) < 400


def test_aliases_do_not_expand_without_a_bound() -> None:
    names = [f"y{number}" for number in range(9)]
    lines = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    text = "\n".join(["y0: &y0 [1, 1, 1]", *lines])
    assert len(str(read_text(text).documents[0])) < 10_000
