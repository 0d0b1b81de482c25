"""Repairs lines of a text that is not YAML: tabs, indentation, values that need quotes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.drafts.reading.yaml import Documents, UnreadableError, read_yaml_tree
from gateway.drafts.tree import Place
from ordinaut.v1.draft_pb2 import Certainty

REPAIRS_MAX = 20
LINE_MAX = 4000  # characters of a line in which placeholders are looked for
BYTES_MAX = 400_000  # of all attempts together: reading 100 kB takes half a second
_ENTRY = re.compile(
    r"""(?P<head>\s*(?:-\s+)*(?:[\w$.-]+|"[^"]*"|'[^']*')\s*:\s+|\s*(?:-\s+)+)(?P<value>\S.*?)(?P<end>\s*)$"""
)
_INDENT = re.compile(r"[ \t\u00a0]*")
_UNQUOTED_NEVER = re.compile(r"""[\"'|>{\[]|![A-Za-z][\w./-]*\s""")
"""A value that is not plain text: it is quoted already, a block, a list, an object, or has a tag."""
_SPECIAL = re.compile(r"^(?:\{\{|\{%|[%@`*&]|!(?![A-Za-z])|\$\{\{)|: |:$|^[\"'].*[\"'][^,}\]]*\S$|\s#")
_BARE_BRACES = re.compile(
    r"""(?<=[:,\[{-])(\s+)(\$?\{\{(?:(?!\}\}).){0,512}\}\}[^,}\]"'#]*?|\$\{[^{}"',]*\}[^,}\]"'#]*?|f"[^"]*\{[^"]*"|f'[^']*\{[^']*')"""
    r"""(?=\s*(?:[,}\]]|$))"""
)
_BLOCK = re.compile(r"(?:^|[\s:])[|>][+-]?\d?[+-]?\s*(?:#.*)?$")
_TEXTS = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\$\{[^}]*\}|\s#.*""")
_DASH = re.compile(r"^(\s*)-(?=[A-Za-z_][\w-]*:(?:\s|$))")
_TAG = re.compile(
    r"""(?P<space>(?<=[:-])\s+|(?<=[,\[{])\s*)!(?P<tag>[A-Za-z][\w./-]{0,40})\s+(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,}\]"'#\[{|>&*!][^,}\]#"']*)"""
)
_EXPRESSION_TAGS = frozenset(
    {"expr", "expression", "eval", "js", "jinja", "python", "py", "ref", "getatt", "var", "lambda"}
)
_FILE_TAGS = frozenset({"include", "import", "file", "read", "load", "include_dir_list", "include_dir_merge_list"})
_SECRET_TAGS = frozenset({"secret", "env", "env_var", "envvar", "vault"})
_NO_SPACE = re.compile(r"^(\s*(?:- )*)([A-Za-z_][\w-]*):((?!//)[^\s:].*)$")
_SMART = re.compile(
    r"((?:^\s*(?:- )?[\w.-]+:|[\[{,:]|^\s*-)\s+)"
    r"[\u201c\u2018]([^\u201c\u201d\u2018\u2019]*)[\u201d\u2019](?=\s*(?:$|[,}\]#]))"
)
_SLASHES = re.compile(r"(^\s*|\s)//(?=\s)")
_NESTED = re.compile(r"^(\s*(?:- )*)(with|input|inputs|args|params|schedule|env)\s*:\s+([\w-]+:\s+[^{\[]\S*.*)$")
_EQUALS = re.compile(r"^(\s*(?:- )*[A-Za-z_][\w-]*)\s*=\s*(\S.*)$")
_MISSING_SPACE = re.compile(r"^(\s*(?:- )*)([A-Za-z_][\w-]*):(?=[^\s:/])(.*)$")


@dataclass(frozen=True, slots=True)
class Repair:
    """A change of the text: its place, the line before and after it, the reason, and how sure it is."""

    place: Place
    before: str
    after: str
    why: str
    certainty: Certainty.ValueType = Certainty.CERTAIN


def read_tolerantly(text: str) -> tuple[Documents, list[Repair]]:
    """Reads YAML after repairing at most 20 lines.

    Raises:
        UnreadableError: no repair makes it YAML; with the first problem.
    """
    repairs: list[Repair] = []
    text = _prepared(text, repairs)
    budget = BYTES_MAX
    first: UnreadableError | None = None
    for _ in range(REPAIRS_MAX):
        try:
            return read_yaml_tree(text), repairs
        except UnreadableError as failure:
            first = first or failure
            budget -= len(text)
            better = _better(text, failure, budget)
            if better is None:
                raise first from None
            text, repair, budget = better
            repairs.append(repair)
    raise first or UnreadableError("too many lines need a repair", Place())


def _prepared(text: str, repairs: list[Repair]) -> str:
    """Repairs what is wrong in any YAML: tabs in the indentation, and `{{` that would begin an object."""
    lines = text.split("\n")
    has_slashes = any(line.lstrip().startswith("//") for line in lines)
    literal = _literal_lines(lines)
    for number, line in enumerate(lines):
        if number in literal:
            continue
        indent = _INDENT.match(line)
        space = indent.group() if indent else ""
        fixed = line
        if "\t" in space or "\u00a0" in space:
            fixed = _spaces(lines[:number], space.replace("\u00a0", " ")) + line[len(space) :]
            repairs.append(Repair(Place(number + 1, 1), line, fixed, "Indents with spaces."))
        fixed = _simple(fixed, lines[number - 1] if number else "", number, repairs)
        if has_slashes and (commented := _SLASHES.sub(r"\1#", fixed)) != fixed:
            repairs.append(Repair(Place(number + 1, 1), fixed, commented, "Writes the comment with `#`."))
            fixed = commented
        if "{" in fixed and len(fixed) <= LINE_MAX and (quoted := _with_quotes(fixed)) != fixed:
            repairs.append(Repair(Place(number + 1, 1), fixed, quoted, "Puts the value in quotes."))
            fixed = quoted
        lines[number] = fixed
    return "\n".join(lines)


def _simple(line: str, before: str, number: int, repairs: list[Repair]) -> str:
    """Repairs a line that is valid YAML by itself and means something else, such as `-id: w` and `cron:"…"`."""
    fixed = _DASH.sub(r"\1- ", line)
    if fixed != line:
        repairs.append(Repair(Place(number + 1, 1), line, fixed, "Adds the space after `-`."))
    joined = _NO_SPACE.match(fixed)
    if joined is not None and (joined[3][0] in "\"'[{" or before.rstrip().endswith(":") or _NO_SPACE.match(before)):
        spaced = f"{joined[1]}{joined[2]}: {joined[3]}"
        repairs.append(Repair(Place(number + 1, 1), fixed, spaced, "Adds the space after `:`."))
        fixed = spaced
    plain = _TAG.sub(lambda match: _without_tag(fixed, match), fixed) if "!" in fixed else fixed
    if plain != fixed:
        why = "Writes the value without a tag of YAML."
        repairs.append(Repair(Place(number + 1, 1), fixed, plain, why, Certainty.ASSUMED))
        fixed = plain
    straight = _SMART.sub(lambda match: match[1] + quoted(match[2]), fixed)
    if straight != fixed:
        why = "Writes the quotes of a word processor as quotes."
        repairs.append(Repair(Place(number + 1, 1), fixed, straight, why, Certainty.ASSUMED))
    return straight


def _without_tag(line: str, match: re.Match[str]) -> str:
    """The value behind a tag of another system, such as `!sub "…"`, `!expr a.b` and `!secret key`."""
    if _in_quotes(line[: match.start()]) or match["tag"].lower() in _FILE_TAGS:
        return match[0]
    value, tag = match["value"].strip(), match["tag"].lower()
    inner = value[1:-1] if value[0] in "\"'" else value
    if tag in _SECRET_TAGS:
        value = quoted("${secrets." + inner + "}")
    elif tag in _EXPRESSION_TAGS and not any(mark in inner for mark in ("${", "{{", '"')):
        value = quoted("${" + inner + "}")
    return match["space"] + value


def _spaces(before: list[str], space: str) -> str:
    """The indentation in place of one with tabs: the one of its neighbours if a width of tabs gives it."""
    last = next((line for line in reversed(before) if line.strip()), "")
    item = re.match(r"\s*(?:- +)+", last)
    column = item.end() if item else _indent(last)
    widths = [
        len(space.expandtabs(width)) if width == 8 else len(space.replace("\t", " " * width)) for width in (2, 4, 8)
    ]
    if not last.rstrip().endswith(":") and column in widths:
        return " " * column
    return " " * next((width for width in widths if width > column or not last.rstrip().endswith(":")), widths[0])


def _literal_lines(lines: list[str]) -> set[int]:
    """The numbers of the lines of texts in blocks, `|` and `>`, which stay as they are."""
    literal: set[int] = set()
    indent = -1
    for number, line in enumerate(lines):
        if indent >= 0 and (not line.strip() or _indent(line) > indent):
            literal.add(number)
            continue
        indent = _indent(line) if _BLOCK.search(line) else -1
    return literal


def _in_quotes(before: str) -> bool:
    """Whether a text in quotes is open at the end of a part of a line."""
    rest = _TEXTS.sub("", before)
    return '"' in rest or re.search(r"(?:^|[\s:,\[{])'", rest) is not None


def _with_quotes(line: str) -> str:
    """The line with quotes around placeholders that would begin an object, and around f-strings."""

    def changed(match: re.Match[str]) -> str:
        before = line[: match.start()]
        needs = match[2].startswith(("{{", "f")) or bool(_unclosed(before))
        return match[1] + quoted(match[2]) if needs and not _in_quotes(before) else match[0]

    return _BARE_BRACES.sub(changed, line)


def quoted(value: str) -> str:
    """A text as a double-quoted scalar of YAML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _better(text: str, failure: UnreadableError, budget: int) -> tuple[str, Repair, int] | None:
    """The first repair after which the text can be read further; with the remaining budget."""
    lines = text.split("\n")
    for number, changed, why in _candidates(lines, failure.place.line - 1):
        if budget < len(text):
            return None
        attempt = "\n".join(changed)
        budget -= len(text)
        if _reads_beyond(attempt, failure):
            before, after = lines[number], changed[number]
            return attempt, Repair(Place(number + 1, 1), before, after, why), budget
    return None


def _reads_beyond(text: str, before: UnreadableError) -> bool:
    try:
        read_yaml_tree(text)
    except UnreadableError as failure:
        return failure.place.line > before.place.line or (before.is_syntax and not failure.is_syntax)
    return True


def _candidates(lines: list[str], at: int) -> Iterator[tuple[int, list[str], str]]:
    """Possible repairs near the line of a problem: number of the changed line, all lines, and the reason."""
    near = [number for number in (at, at - 1) if 0 <= number < len(lines)]
    for number in range(min(at, len(lines) - 1), max(at - 4, -1), -1):
        if missing := _unclosed(lines[number]):
            yield number, _with(lines, number, lines[number].rstrip() + missing), f"Adds the missing `{missing}`."
    for number in near:
        for line, why in _rewritten(lines[number]):
            yield number, _with(lines, number, line), why
    for number in near:
        yield from _indented(lines, number)
    for number in near:
        if (match := _ENTRY.match(lines[number])) and not _UNQUOTED_NEVER.match(match["value"]):
            yield number, _with(lines, number, match["head"] + quoted(match["value"])), "Puts the value in quotes."


def _rewritten(line: str) -> Iterator[tuple[str, str]]:
    """The line with another separator or with quotes, and the reason."""
    if (match := _EQUALS.match(line)) is not None:
        yield f"{match[1]}: {match[2]}", "Writes `:` between key and value."
    if (match := _NESTED.match(line)) is not None:
        yield f"{match[1]}{match[2]}: {{{match[3]}}}", "Puts the members into an object."
    if (match := _ENTRY.match(line)) and _SPECIAL.search(match["value"]) and not _is_flow(match["value"]):
        yield match["head"] + quoted(_unquoted(match["value"])), "Puts the value in quotes."
    if (match := _MISSING_SPACE.match(line)) is not None:
        yield f"{match[1]}{match[2]}: {match[3]}", "Adds the space after `:`."


def _is_flow(value: str) -> bool:
    """Whether a value begins a list or an object, and not a placeholder."""
    return value[0] == "[" or (value[0] == "{" and not value.startswith(("{{", "{%")))


def _unclosed(line: str) -> str:
    """The brackets that a line opens and does not close.

    >>> _unclosed("- {a: 1, b: {c: [2]}"), _unclosed("a: '{'")
    ('}', '')
    """
    plain = _TEXTS.sub("", line)
    stack: list[str] = []
    for character in plain:
        if character in "{[":
            stack.append("}" if character == "{" else "]")
        elif character in "}]" and stack and stack[-1] == character:
            stack.pop()
    return "".join(reversed(stack))


def _unquoted(value: str) -> str:
    whole = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if whole else value


def _with(lines: list[str], number: int, line: str) -> list[str]:
    return [*lines[:number], line, *lines[number + 1 :]]


def _indented(lines: list[str], number: int) -> Iterator[tuple[int, list[str], str]]:
    """The line and what is nested in it, at each indentation that is open there; the nearest one first."""
    if not lines[number].strip():
        return
    own = _indent(lines[number])
    end = number + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > own):
        end += 1
    before = next((line for line in reversed(lines[:number]) if line.strip()), "")
    item = re.match(r"\s*(?:- +)+", before)
    members = item.end() if item is not None and _indent(before) == own else -1  # of the item that begins there
    for column in sorted(
        _open_columns(lines, number), key=lambda column: (column != members, abs(column - own), column)
    ):
        if column != own:
            last = _siblings(lines, end, own) if column == members else end
            moved = [_shifted(line, column - own) for line in lines[number:last]]
            yield number, [*lines[:number], *moved, *lines[last:]], "Indents the line as its neighbours."


def _siblings(lines: list[str], start: int, own: int) -> int:
    """The end of the lines with this indentation, and of what is nested in them, before the next item."""
    end = start
    while end < len(lines) and lines[end].strip():
        if _indent(lines[end]) < own or (_indent(lines[end]) == own and lines[end].lstrip().startswith("-")):
            break
        end += 1
    return end


def _open_columns(lines: list[str], number: int) -> set[int]:
    columns: set[int] = set()
    limit = 1_000
    for line in reversed(lines[:number]):
        if not line.strip() or line.strip().startswith("#"):
            continue
        indent = _indent(line)
        if indent < limit:
            columns.add(indent)
            item = re.match(r"\s*((?:- +)+)", line)
            if item is not None:
                columns.add(item.end())
            limit = indent
        if indent == 0:
            break
    return columns


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _shifted(line: str, columns: int) -> str:
    if not line.strip():
        return line
    return " " * columns + line if columns > 0 else line[min(-columns, _indent(line)) :]
