"""Texts and conditions with placeholders of other languages: `{{ x }}`, `${{ x }}`, `%{x}`, `{x}`, `$.steps.a.b`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ordinaut.expressions.errors import ExpressionError
from ordinaut.expressions.expression import compile_expression
from ordinaut.expressions.foreign.lexer import ForeignError
from ordinaut.expressions.foreign.nodes import Binary, Call, Constant, Element, Member, Name, Node
from ordinaut.expressions.foreign.parser import parse
from ordinaut.expressions.foreign.scope import ROOTS, STEP_ROOTS, Scope, resolve
from ordinaut.expressions.foreign.translate import Translation, quoted, translate
from ordinaut.expressions.foreign.vocabulary import FILTERS

LONGEST = 1024  # characters of a placeholder
_OPENING = re.compile(
    r"""(?P<escape>\$\$\{)
    |(?P<github>\$\{\{)
    |(?P<jinja>\{\{\{?[-&~]?)
    |(?P<own>\$\{)
    |(?P<erb><%=?-?)
    |(?P<ruby>[\#%]\{(?!\{))
    |(?P<shell>\$\((?P<in_shell>[\w.\[\]"' -]{1,256})\))
    |(?P<brace>\{(?P<in_brace>[A-Za-z_$][^{}]{0,512})\})
    |(?P<path>(?<![\w$.])\$\.?(?P<in_path>[A-Za-z_][\w-]{0,63}(?:\.[A-Za-z_][\w-]{0,63}|\[\d{1,6}\]|\[\*\]){1,32}))""",
    re.VERBOSE,
)
_CLOSING = {"github": "}}", "jinja": "}}", "own": "}", "ruby": "}"}
_MARK = re.compile(r"""[{}'"`]""")
STRONG = frozenset({"github", "jinja", "erb"})
"""Kinds that are placeholders whatever they contain; the others only around a known name."""
_SHELL_DEFAULT = re.compile(r"([A-Za-z_]\w*):-([^}]*)")
_BARE = re.compile(r"\$\.?now|\$[A-Za-z_]\w*")
_STATEMENT = re.compile(r"\{%-?\s{0,8}\w+(?:(?!%\}|\{%).){0,512}%\}", re.DOTALL)
_CONDITIONAL = re.compile(
    r"\{%-?\s{0,8}if\s+(?P<condition>(?:(?!%\}|\{%).){1,512}?)\s{0,8}-?%\}(?P<yes>(?:(?!\{%).){0,2000})"
    r"(?:\{%-?\s{0,8}else\s{0,8}-?%\}(?P<no>(?:(?!\{%).){0,2000}))?\{%-?\s{0,8}endif\s{0,8}-?%\}",
    re.DOTALL,
)
_LOOP = re.compile(
    r"\{%-?\s{0,8}for\s+(?P<name>\w{1,63})\s+in\s+(?P<items>(?:(?!%\}|\{%).){1,512}?)\s{0,8}-?%\}"
    r"(?P<body>(?:(?!\{%).){0,2000})\{%-?\s{0,8}endfor\s{0,8}-?%\}",
    re.DOTALL,
)
_FORMAT = re.compile(r"""[fF](?P<quote>['"])(?P<inner>[^{}]*\{.*)(?P=quote)""", re.DOTALL)
_BACKTICKS = re.compile(r"`(?P<inner>[^`]*\$\{[^`]*)`", re.DOTALL)
_ANSWER = re.compile(r"\.status\s*[!=]=\s*'(?!(?:approved|rejected|expired)')")
_CHAIN = re.compile(r"[<>]=?\s*[\w.$]+\s*[<>]=?")
_RAN = re.compile(
    r"steps\.(\w+)\.(?:status|state|outcome|conclusion|result)\s*[!=]=\s*'(?i:success|succeeded|completed|ok)'"
)
_OUTCOME = re.compile(
    r"(?:\.(?:outcome|state|verdict|decision|result|output)|steps\.\w+)\s*[!=]=\s*'(?:approved|rejected|expired)'"
    r"|[!=]=\s*(?:approved|rejected|expired)\b"
)
_JOINED = re.compile(r"""['"]\s*[+~,]|[+~,]\s*['"]""")
JOINS = frozenset({"concat", "format", "join", "str", "string", "sprintf", "printf"})
_FILTER = re.compile(r"\|\s*([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Found:
    """A placeholder: its kind, expression, and place in the text."""

    kind: str
    expression: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text in the language of pipelines. `problems` are messages about placeholders that are not understood."""

    text: str
    certain: bool = True
    undeclared: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def placeholders(text: str) -> Iterator[Found]:
    """The placeholders of every language in a text, in order; `$${` is not one.

    Linear in the length of the text: a placeholder has at most 1024 characters, and after many that do not end, the
    next closing braces end one.
    """
    place, budget = 0, _Budget()
    while (match := _OPENING.search(text, place)) is not None:
        kind = next(name for name in _KINDS if match[name])
        placeholder = None if kind == "escape" else _found(text, kind, match, budget)
        place = match.end() if placeholder is None else placeholder.end
        if placeholder is not None:
            yield placeholder


_KINDS = ("escape", "github", "jinja", "own", "erb", "ruby", "shell", "brace", "path")


@dataclass(slots=True)
class _Budget:
    """How many braces and quotes may still be looked at for placeholders that do not end."""

    marks: int = 50_000


def _found(text: str, kind: str, match: re.Match[str], budget: _Budget) -> Found | None:
    """The placeholder that begins with a match; None if it does not end."""
    if kind in {"shell", "brace", "path"}:
        return Found(kind, match[f"in_{kind}"].strip(), match.start(), match.end())
    limit = min(len(text), match.end() + LONGEST)
    if kind == "erb":
        end = text.find("%>", match.end(), limit)
        return None if end < 0 else Found(kind, text[match.end() : end].rstrip("-").strip(), match.start(), end + 2)
    end = _end(text, match.end(), limit, _CLOSING[kind], budget)
    if end < 0:
        return None
    after = end + len(_CLOSING[kind]) + (match.group().startswith("{{{") and text[end + 2 : end + 3] == "}")
    return Found(kind, text[match.end() : end].strip("-~").strip(), match.start(), after)


def _end(text: str, start: int, limit: int, closing: str, budget: _Budget) -> int:
    """The place of the closing braces outside of quotes and of inner braces; -1 without them."""
    first = text.find(closing, start, limit)
    if first < 0 or budget.marks <= 0:
        return first
    depth, place, open_quotes = 0, start, set[str]()
    while (match := _MARK.search(text, place, limit)) is not None:
        mark, place = match.group(), match.end()
        budget.marks -= 1
        if mark == "{":
            depth += 1
        elif mark == "}" and depth:
            depth -= 1
        elif mark == "}":
            if not text.startswith(closing, match.start()):
                return -1
            budget.marks += text.count("{", start, place) + 1
            return match.start()
        elif mark not in open_quotes:
            end = _quote_end(text, place, limit, mark)
            if end < 0:
                open_quotes.add(mark)  # an apostrophe
            else:
                place = end
    return -1


def _quote_end(text: str, place: int, limit: int, quote: str) -> int:
    """The place after the closing quote; -1 without it."""
    while (end := text.find(quote, place, limit)) >= 0:
        backslashes = end - len(text[place:end].rstrip("\\")) - place
        if backslashes % 2 == 0:
            return end + 1
        place = end + 1
    return -1


def looks_foreign(text: str) -> bool:
    """Whether a text has a placeholder of another language.

    >>> looks_foreign("It is {{ x }}"), looks_foreign("It is ${params.x}"), looks_foreign("{x}")
    (True, False, False)
    """
    return "{" in text and any(placeholder.kind in STRONG for placeholder in placeholders(text))


def foreign_template(text: str, scope: Scope) -> Rewritten | None:
    """A text with a placeholder of another language, and what it means here; otherwise None.

    A brace around a name is a placeholder only if it is the path of an output: `{steps.a.b}`, not `{city}`.

    >>> scope = Scope(steps={"w": "w"}, params=["city"])
    >>> foreign_template("It is {{ steps.w.temp }}", scope).text, foreign_template("{city} {x}", scope)
    ('It is ${steps.w.temp}', None)
    """
    if not any(mark in text for mark in "{$%"):
        return _concatenation(text.strip(), scope)
    seen = set[tuple[str, str]]()
    for placeholder in placeholders(text):
        if placeholder.kind in STRONG:
            return rewrite_text(text, scope)
        if placeholder.kind != "own" and (placeholder.kind, placeholder.expression) not in seen:
            seen.add((placeholder.kind, placeholder.expression))
            result = _translated(placeholder, scope)
            if result is not None and result.certain and result.text.startswith("steps."):
                return rewrite_text(text, scope)
    if (statement := _STATEMENT.search(text)) is not None:
        return Rewritten(text, problems=(_statement_problem(statement),))
    return None


def _statement_problem(statement: re.Match[str]) -> str:
    return f"`{statement.group()[:60]}` is a statement of another language: use `if` or `foreach` of a step"


def rewrite_text(text: str, scope: Scope) -> Rewritten:
    """A text with every placeholder as `${…}`.

    >>> scope = Scope(steps={"w": "w"}, outputs={"w": ["temp"]}, params=["city"])
    >>> rewrite_text("It is {{ steps.w.temp }} in {city}, {not} $.steps.w.temp", scope).text
    'It is ${steps.w.temp} in ${params.city}, {not} ${steps.w.temp}'
    """
    if not any(mark in text for mark in "{%") and ("$" not in text or _BARE.fullmatch(text.strip())):
        return _whole_path(text, scope)
    parts: list[str] = []
    place, certain = 0, True
    undeclared: list[str] = []
    problems: list[str] = []
    body = _without_marks(_without_statements(text, scope))
    if re.fullmatch(r"\s*=\s*\$\.[\w.\[\]*-]+\s*", body):
        body = body.strip()[1:].strip()
    for placeholder in placeholders(body):
        try:
            result = _translated(placeholder, scope)
        except ForeignError as failure:
            problems.append(_problem(body, placeholder, failure))
            result = None
        if result is not None:
            parts += [body[place : placeholder.start], "${" + result.text + "}"]
            place, certain = placeholder.end, certain and result.certain
            undeclared += result.undeclared
    if (statement := _STATEMENT.search(body)) is not None:
        problems.append(_statement_problem(statement))
    rewritten = "".join([*parts, body[place:]])
    if not parts and body == text:
        rewritten = text
    certain = certain and _LOOP.search(text) is None
    return Rewritten(rewritten, certain, tuple(undeclared), tuple(problems))


def _without_statements(text: str, scope: Scope) -> str:
    """`{% if a %}b{% else %}c{% endif %}` as one placeholder."""
    if "{%" not in text:
        return text

    def chosen(match: re.Match[str]) -> str:
        try:
            condition = translate(match["condition"], scope).text
        except ForeignError:
            return match[0]
        yes, no = (_operand(part or "", scope) for part in (match["yes"], match["no"]))
        return "${" + f"({condition}) && {yes} || {no}" + "}" if match["yes"].strip() else match[0]

    return _CONDITIONAL.sub(chosen, _LOOP.sub(lambda match: _loop(match, scope), text))


def _operand(text: str, scope: Scope) -> str:
    """A part of a conditional text as an expression."""
    parts = [text[0:0]]
    place = 0
    for placeholder in placeholders(text):
        try:
            inner = translate(placeholder.expression, scope).text
        except ForeignError:
            continue
        literal = text[place : placeholder.start]
        parts += [quoted(literal)] if literal else []
        parts.append(f"to_string({inner})")
        place = placeholder.end
    parts += [quoted(text[place:])] if text[place:] or len(parts) == 1 else []
    kept = [part for part in parts if part]
    return kept[0] if len(kept) == 1 else f"join('', [{', '.join(kept)}])"


def _loop(match: re.Match[str], scope: Scope) -> str:
    """`{% for e in list %}{{ e.title }}, {% endfor %}` as the joined texts of the elements."""
    body, name = match["body"], match["name"]
    placeholder = list(placeholders(body))
    if len(placeholder) != 1 or not re.fullmatch(rf"{re.escape(name)}(?:\.[A-Za-z_]\w*)*", placeholder[0].expression):
        return match[0]
    try:
        items = translate(match["items"], scope).text
    except ForeignError:
        return match[0]
    before, after = body[: placeholder[0].start], body[placeholder[0].end :]
    path = placeholder[0].expression[len(name) :]
    element = "@" if not path else f"@{path}"
    text = f"&join('', [{quoted(before)}, to_string({element}), {quoted(after)}])"
    return "${" + f"join('', map({text}, {items}))" + "}"


def _without_marks(text: str) -> str:
    """A text without what marks it as a template as a whole: `=` of n8n, `f"…"`, backticks."""
    if text.startswith("=") and ("{{" in text or "${" in text):
        return text[1:]
    if (match := _FORMAT.fullmatch(text)) is not None or (match := _BACKTICKS.fullmatch(text)) is not None:
        return match["inner"]
    return text


def _whole_path(text: str, scope: Scope) -> Rewritten:
    """A text that is nothing but the path of a step's output or of a declared param."""
    words = text.strip()
    if words in {"$now", "$.now"}:
        return Rewritten("${now}")
    if words.startswith("$") and words[1:] in scope.params:
        return Rewritten("${params." + words[1:] + "}", certain=False)
    if (joined := _concatenation(words, scope)) is not None:
        return joined
    if not re.fullmatch(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\d+\])+", words):
        return Rewritten(text)
    root, second = words.split(".")[0], re.split(r"[.\[]", words)[1]
    if (root in {"steps", *STEP_ROOTS} and second in scope.steps) or (root == "params" and second in scope.params):
        return Rewritten("${" + translate(words, scope).text + "}", certain=False)
    return Rewritten(text)


def _concatenation(text: str, scope: Scope) -> Rewritten | None:
    """A text that is as a whole an expression which joins texts with known values: `'It is ' + steps.w.temp`."""
    if len(text) > LONGEST or _JOINED.search(text) is None:
        return None
    try:
        node = parse(text, scope.dashed or ())
    except ForeignError:
        return None
    parts = list(_summands(node))
    if len(parts) < 2 or not any(isinstance(part, Constant) and isinstance(part.value, str) for part in parts):
        return None
    if not any(reads_known(part, scope, bare=False) for part in parts):
        return None
    try:
        return Rewritten("${" + translate(text, scope).text + "}", certain=False)
    except ForeignError as failure:
        return Rewritten(text, problems=(f"`{text[:80]}` is not understood: {failure}",))


def _summands(node: Node) -> Iterator[Node]:
    if isinstance(node, Binary) and node.operator in {"+", "~"}:
        yield from _summands(node.left)
        yield from _summands(node.right)
    elif isinstance(node, Call) and node.name.lower() in JOINS:
        for argument in node.arguments:
            yield from _summands(argument)
    else:
        yield node


def _problem(text: str, placeholder: Found, failure: ForeignError) -> str:
    return f"`{text[placeholder.start : placeholder.end][:80]}` is not understood: {failure}"


def _translated(placeholder: Found, scope: Scope) -> Translation | None:
    """The expression of a placeholder; None if it is valid here already, or is not a placeholder."""
    if (shell := _SHELL_DEFAULT.fullmatch(placeholder.expression)) is not None:
        name = translate(shell[1], scope)
        return Translation(f"default({name.text}, {quoted(shell[2])})", certain=False)
    if placeholder.kind == "own":
        if is_native(placeholder.expression, scope):
            return None
        return translate(placeholder.expression, scope)
    if placeholder.kind in STRONG:
        return translate(placeholder.expression, scope)
    try:
        node = parse(placeholder.expression, scope.composed)
        return (
            translate(placeholder.expression, scope)
            if reads_known(node, scope, bare=placeholder.kind != "path")
            else None
        )
    except ForeignError:
        return None


def reads_known(node: Node, scope: Scope, *, bare: bool = True) -> bool:
    """Whether an expression is a path whose beginning exists; `bare`: a param alone is enough."""
    base, keys = node, list[str | int]()
    while isinstance(base, Member | Element):
        keys.insert(0, base.key if isinstance(base, Member) else base.index)
        base = base.of
    if isinstance(base, Call) and base.arguments:
        return reads_known(base.arguments[0], scope, bare=bare)
    if not isinstance(base, Name):
        return False
    path = resolve([base.name, *keys], scope)
    root, second = path.path[0], path.path[1] if len(path.path) > 1 else ""
    if root == "steps":
        return second in scope.steps.values()
    if root == "params":
        return second in scope.params and (bare or base.name != second)
    known = {"event", "run", "secrets", "error"} if len(path.path) > 1 else {"now"}
    return root in known or (scope.in_loop and root in {"item", "index"})


def is_native(text: str, scope: Scope) -> bool:
    """Whether an expression is valid here, reads only names that exist, and has no other meaning elsewhere."""
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return False
    if scope.approvals and (_ANSWER.search(text) or _OUTCOME.search(text)):
        return False
    if _CHAIN.search(text) or (_RAN.search(text) and _asks_state(text, scope)):
        return False
    if any(match[1] in FILTERS and not _applies(text, match) for match in _FILTER.finditer(text)):
        return False
    paths = [*expression.references, *expression.element_references]
    if any(_counts(path, scope) for path in paths):
        return False
    paths += [path for path in expression.inner_references if path[0] in ROOTS]
    return all(resolve(list(path), scope).path == list(path) for path in paths)


def _asks_state(text: str, scope: Scope) -> bool:
    """Whether a condition asks for the state of a step whose output declares no such member."""
    return any(scope.outputs.get(match[1]) is not None for match in _RAN.finditer(text))


def _counts(path: tuple[str | int, ...], scope: Scope) -> bool:
    """Whether a path ends with `length`, which no schema declares: `steps.a.items.length`."""
    if path[-1] != "length" or path[0] != "steps" or len(path) < 3:
        declared_approval = len(path) == 3 and path[1] in scope.approvals and path[2] in {"approved", "rejected"}
        return path[0] == "steps" and declared_approval
    declared = scope.outputs.get(str(path[1]))
    return len(path) > 3 or (declared is not None and "length" not in declared)


def _applies(text: str, match: re.Match[str]) -> bool:
    """Whether the name after a pipe is a function of the current value, `x | length(@)`, or `||`."""
    before = text[: match.start()].rstrip()
    rest = text[match.end() :].lstrip()
    return before.endswith("|") or (rest.startswith("(") and "@" in rest.split(")")[0])


def rewrite_condition(text: str, scope: Scope) -> Rewritten:
    """A condition, or a list for a loop, as an expression without placeholders around or in it.

    >>> rewrite_condition("{{ steps.w.temp }} > 20", Scope(steps={"w": "w"})).text
    'steps.w.temp > 20'
    """
    stripped = text.strip()
    statement = _CONDITIONAL.fullmatch(stripped)
    if statement and statement["yes"].strip().lower() in {"true", "yes", "1"}:
        no = (statement["no"] or "").strip().lower()
        stripped = statement["condition"] if no in {"", "false", "no", "0"} else stripped
    bare = _without_placeholders(stripped)
    if bare == stripped and is_native(stripped, scope):
        return Rewritten(text)
    whole = next(iter(placeholders(stripped)), None)
    is_own = whole is not None and whole.kind == "own" and (whole.start, whole.end) == (0, len(stripped))
    if is_own and whole is not None and is_native(whole.expression, scope):
        return Rewritten(text)
    try:
        if is_native(bare, scope):
            return Rewritten(bare)
        result = translate(bare, scope)
    except ForeignError as failure:
        return Rewritten(text, problems=(f"`{text[:80]}` is not understood: {failure}",))
    return Rewritten(result.text, result.certain, result.undeclared)


def _without_placeholders(text: str) -> str:
    """A condition with its placeholders replaced by their expressions, also those in quotes."""
    body = text[1:] if text.startswith("=") and "{{" in text else text
    parts: list[str] = []
    place = 0
    for placeholder in placeholders(body):
        if placeholder.kind not in {*STRONG, "own", "path", "ruby"}:
            continue
        before, after = body[place : placeholder.start], body[placeholder.end :]
        end = placeholder.end
        if before[-1:] in {"'", '"'} and after[:1] == before[-1:]:
            before, end = before[:-1], end + 1
        whole = not before.strip() and not parts and not body[end:].strip()
        simple = re.fullmatch(r"[\w$.\[\]\"'@-]+", placeholder.expression) is not None
        inner = placeholder.expression if whole or simple else f"({placeholder.expression})"
        parts += [before, inner]
        place = end
    return "".join([*parts, body[place:]]).strip()
