"""The functions, filters, methods and tests of these languages, and what they are called here."""

from collections.abc import Callable, Mapping

from ordinaut.expressions.foreign.nodes import Binary, Call, Constant, Node, Unary

_NULL = Constant(None)


def _empty(node: Node) -> Node:
    return Binary("==", Call("length", [node]), Constant(0))


TESTS: Mapping[str, Callable[[Node], Node]] = {
    **dict.fromkeys(("null", "None", "none", "nil", "undefined"), lambda node: Binary("==", node, _NULL)),
    "defined": lambda node: Binary("!=", node, _NULL),
    "empty": _empty,
    "true": lambda node: Binary("==", node, Constant(True)),
    "True": lambda node: Binary("==", node, Constant(True)),
    "false": lambda node: Binary("==", node, Constant(False)),
    "False": lambda node: Binary("==", node, Constant(False)),
    "truthy": lambda node: node,
    "falsy": lambda node: Unary("!", node),
}
"""The words that may follow `is`."""

RENAMED: Mapping[str, str] = {
    **dict.fromkeys(("length", "len", "count", "size"), "length"),
    **dict.fromkeys(("upper", "uppercase", "toUpperCase", "to_upper", "upcase", "ucase", "toUpper"), "upper"),
    **dict.fromkeys(("lower", "lowercase", "toLowerCase", "to_lower", "downcase", "lcase", "toLower"), "lower"),
    **dict.fromkeys(("int", "float", "Number", "parseInt", "parseFloat", "number", "to_int", "toNumber"), "to_number"),
    **dict.fromkeys(("string", "str", "String", "toString", "text", "to_str"), "to_string"),
    **dict.fromkeys(("tojson", "to_json", "toJson", "toJSON", "json", "stringify", "dumps", "toJsonString"), "to_json"),
    **dict.fromkeys(("fromjson", "from_json", "fromJson", "fromJSON", "loads", "parse_json"), "from_json"),
    **dict.fromkeys(("startswith", "startsWith", "starts_with"), "starts_with"),
    **dict.fromkeys(("endswith", "endsWith", "ends_with"), "ends_with"),
    **dict.fromkeys(("contains", "includes", "has", "include"), "contains"),
    **dict.fromkeys(("abs", "ceil", "floor", "max", "min", "sum", "avg", "keys", "values", "sort", "reverse"), ""),
    "sorted": "sort",
    "reversed": "reverse",
    "average": "avg",
    "mean": "avg",
    "list": "to_array",
    **dict.fromkeys(
        ("default", "coalesce", "ifNull", "if_null", "ifnull", "d", "or_else", "ifEmpty", "nvl"), "default"
    ),
    **dict.fromkeys(("split", "join", "replace", "first", "last", "map", "get", "format", "strftime", "date"), ""),
    **dict.fromkeys(("toFormat", "toISOString", "isoformat", "toISODate", "format_date", "date_format", "iso"), ""),
    **dict.fromkeys(("join_lines", "hash", "trim", "strip", "round", "title", "capitalize", "unique", "escape"), ""),
    **dict.fromkeys(("replaceAll", "concat", "slice", "items", "safe", "e", "at"), ""),
}
FILTERS = frozenset(RENAMED)
"""The names that may follow `|` as a filter."""
NOW = frozenset(
    {"now", "utcnow", "today", "Date", "$now", "$today", "datetime", "timestamp", "current_time", "getdate"}
)
"""The calls that give the current time."""

TIME_FORMATS: tuple[tuple[str, str], ...] = (
    *(("YYYY", "%Y"), ("yyyy", "%Y"), ("YY", "%y"), ("yy", "%y"), ("MMMM", "%B"), ("MMM", "%b"), ("MM", "%m")),
    *(("DD", "%d"), ("dd", "%d"), ("dddd", "%A"), ("EEEE", "%A"), ("ddd", "%a"), ("EEE", "%a"), ("cccc", "%A")),
    *(("HH", "%H"), ("hh", "%I"), ("mm", "%M"), ("ss", "%S"), ("A", "%p"), ("a", "%p")),
)
"""Words of the formats of JavaScript and Java, and of strftime."""


def time_format(text: str) -> str | None:
    """A format in the form of strftime; None if a word of it is unknown.

    >>> time_format("YYYY-MM-DD HH:mm"), time_format("%d.%m.%Y"), time_format("Q")
    ('%Y-%m-%d %H:%M', '%d.%m.%Y', None)
    """
    if "%" in text:
        return text
    words = sorted(TIME_FORMATS, key=lambda word: -len(word[0]))
    result, place = "", 0
    while place < len(text):
        word = next((word for word in words if text.startswith(word[0], place)), None)
        if word is not None:
            result, place = result + word[1], place + len(word[0])
        elif text[place] == "[" and "]" in text[place:]:
            end = text.index("]", place)
            result, place = result + text[place + 1 : end], end + 1
        elif text[place].isalpha() and text[place] not in "TZ":
            return None
        else:
            result, place = result + text[place], place + 1
    return result
