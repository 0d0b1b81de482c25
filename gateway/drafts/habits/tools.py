"""Which tool a step means: built-in tools under other names, tools with similar names, HTTP requests."""

import json
import re
import shlex
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import urlsplit

from gateway.drafts.draft import ASSUMED, CERTAIN, REMOVED, Ask, Option
from gateway.drafts.habits.builtins import INPUTS, MAIN, MEMBERS, PREFIX, builtin_word, shape_input
from gateway.drafts.habits.context import ToolInfo, Work
from gateway.drafts.habits.walk import lists_of_steps, steps_of
from gateway.drafts.habits.words import STEP_FIELDS, STEP_WORDS, folded, meaning
from gateway.drafts.tree import Array, Object, plain

NEAR = 0.6  # ratio of difflib from which a tool is offered
SAME = 0.85  # from which a name is a misspelling
CHOICES_MAX = 5
HTTP_WORDS = frozenset(
    {"http", "https", "http_request", "http.request", "request", "fetch", "webhook", "curl", "rest", "api", "http_call"}
)
HTTP_MORE = frozenset(
    {"requests.get", "requests.post", "axios", "httprequest", "http.get", "http.post", "api_call", "url"}
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def known_tool(work: Work, name: str) -> bool:
    """Whether a tool with this name exists and the caller may use it."""
    return name.removeprefix("tools/") in work.tools


def builtin_of(name: str) -> str:
    """The built-in tool that a name means, or an empty text."""
    word = builtin_word(name)
    return PREFIX + word if word else ""


def resolve_tools(work: Work) -> None:
    """Gives every step the tool that it means, or asks."""
    for step in list(steps_of(work)):
        _action_key(work, step)
        uses = step.get("uses")
        if isinstance(uses, str) and uses:
            _resolve(work, step, uses)
        elif "uses" not in step and not set(step) & {"do", "branches"} and _url_key(step):
            _ask_http(work, step)


def _action_key(work: Work, step: Object) -> None:
    """`{sleep: 30}`, `{type: approval, message: …}`, `{mail.send: {to: …}}`: the action is a member of the step."""
    if set(step) & {"uses", "do", "branches"}:
        return
    kind = next((key for key in step if folded(key) in {"type", "kind"} and isinstance(step[key], str)), None)
    if kind is not None and folded(step[kind]) not in HTTP_WORDS and builtin_of(step[kind]):
        work.draft.rename(step, kind, "uses", f"Renames `{kind}` to `uses`.")
        return
    for key in list(step):
        if key in STEP_FIELDS or meaning(key, STEP_WORDS):
            continue
        word = builtin_of(key)
        if known_tool(work, key) or word or (folded(key) in HTTP_WORDS and isinstance(step[key], Object)):
            value = step[key]
            if value is False:
                continue
            arguments = value if isinstance(value, Object) else Object(place=step.place_of(key))
            before = step.get("with")
            if word == f"{PREFIX}run_task" and isinstance(before, Object):
                before = Object({"params": before}, before.place)
            if isinstance(before, Object):
                arguments = Object({**before, **arguments}, before.place)
            if not isinstance(value, Object) and value is not None and value is not True:
                arguments[_main(word)] = value
            step["with"] = arguments
            step.places["with"] = step.place_of(key)
            step.pop(key)
            work.draft.put(step, "uses", key, f"`{key}` is the tool of the step.")
            return


def _main(tool: str) -> str:
    return MAIN.get(tool.removeprefix(PREFIX), "value")


def _resolve(work: Work, step: Object, uses: str) -> None:
    draft = work.draft
    name = uses.strip().removeprefix("tools/")
    name = name.split("@")[0] if "@" in name else name
    if name in work.tools:
        if name != uses:
            draft.put(step, "uses", name, "The name of a tool has no `tools/` and no version.")
        if name.startswith(PREFIX):
            _known_builtin(work, step, name.removeprefix(PREFIX))
        return
    same = _same_name(work, name)
    if same:
        draft.put(step, "uses", same, f"The tool is called {same}.")
        return
    word = builtin_word(name)
    if word is not None and PREFIX + word in work.tools and not _is_http(name):
        _become_builtin(work, step, word)
    elif _is_http(name) or _url_key(step) or _url_key(step.get("with")):
        _ask_http(work, step)
    else:
        _similar(work, step, name)


def _same_name(work: Work, name: str) -> str:
    """A tool whose name differs only in case and separators."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    same = [tool for tool in work.tools if re.sub(r"[^a-z0-9]", "", tool) == letters]
    return same[0] if len(same) == 1 else ""


def _known_builtin(work: Work, step: Object, tool: str) -> None:
    """Members of the step that are inputs of a built-in tool."""
    own = INPUTS.get(tool, frozenset())
    given = step.get("with")
    if isinstance(given, str) and "${" not in given and "{{" not in given:
        shape_input(work.draft, step, tool)
    extra = [
        key for key in step if key not in STEP_FIELDS and (folded(key) in own or MEMBERS.get(tool, {}).get(folded(key)))
    ]
    _move_inputs(work, step, extra)
    if isinstance(step.get("with"), Object):
        shape_input(work.draft, step, tool)


def _become_builtin(work: Work, step: Object, tool: str) -> None:
    draft = work.draft
    own, words = INPUTS.get(tool, frozenset()), MEMBERS[tool]
    arguments = step.get("with")
    keys = [key for key in step if key not in STEP_FIELDS and key != "uses"]
    if tool == "request_approval":
        keys += [
            key for key in ("timeout", "timeout_seconds", "name") if key in step and not _has(arguments, words, key)
        ]
        keys = [
            key for key in keys if key != "name" or ("message" not in step and not _has(arguments, words, "message"))
        ]
    elif tool == "wait" and "timeout" in step and not arguments:
        keys.append("timeout")
    elif tool == "wait_event" and "timeout" in step and not _has(arguments, words, "timeout"):
        keys += [key for key in ("timeout", "if") if key in step]
    if tool == "fail" and {"error", "message"} <= set(keys):
        draft.rename(step, "error", "code", "Renames `error` to `code`.")
        keys = ["code" if key == "error" else key for key in keys]
    _move_inputs(work, step, [key for key in keys if folded(key) in own or folded(key) in words])
    draft.put(step, "uses", PREFIX + tool, f"The tool is called {PREFIX}{tool}.")
    shape_input(draft, step, tool)
    if tool == "run_task" and isinstance(step.get("with"), Object):
        _whole_name(work, step["with"])
    if tool == "request_approval":
        _gate(work, step)


def _whole_name(work: Work, arguments: Object) -> None:
    """The task of another system's step by its whole name; the step waits for its end, as there."""
    task = arguments.get("task")
    if isinstance(task, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,62}", task):
        work.draft.put(arguments, "task", f"tasks/{task}", "The name of a task begins with `tasks/`.")
    if "wait" not in arguments:
        work.draft.put(arguments, "wait", True, "The step continues when the other task has ended.", ASSUMED)


def _has(arguments: Any, words: Any, key: str) -> bool:
    target = words.get(key, key)
    return isinstance(arguments, Object) and any(words.get(folded(name), folded(name)) == target for name in arguments)


def _move_inputs(work: Work, step: Object, keys: list[str]) -> None:
    if not keys:
        return
    target = step.get("with")
    if not isinstance(target, Object):
        if target is not None:
            return
        target = step["with"] = Object(place=step.place_of(keys[0]))
    for key in keys:
        if key not in target and key in step:
            work.draft.move(step, key, target, key, f"`{key}` is an input of the tool: moves it into `with`.")


def _gate(work: Work, step: Object) -> None:
    """What follows an approval runs only if it was approved; the run continues in both cases."""
    for steps in lists_of_steps(work):
        place = next((index for index, candidate in enumerate(steps) if candidate is step), None)
        if place is not None:
            work.notes.setdefault("gates", []).append((steps, step))


def close_gates(work: Work) -> None:
    """Adds the condition to the steps after an approval, once they have names."""
    for steps, step in work.notes.pop("gates", []):
        place = next((index for index, candidate in enumerate(steps) if candidate is step), len(steps))
        if f"{step.get('id')}." in json.dumps(plain(steps)):
            continue  # the document decides itself what the answer means
        for candidate in steps[place + 1 :]:
            if not isinstance(candidate, Object):
                continue
            condition = f"steps.{step['id']}.status == 'approved'"
            before = candidate.get("if")
            joined = f"{condition} && ({before})" if isinstance(before, str) and before.strip() else condition
            work.draft.put(candidate, "if", joined, "Runs only if it was approved.", ASSUMED)


def _is_http(name: str) -> bool:
    return folded(name) in HTTP_WORDS or name.lower() in HTTP_MORE


def _url_key(holder: Any) -> str:
    if not isinstance(holder, Object):
        return ""
    keys = (key for key in holder if folded(key) in {"url", "uri", "endpoint", "href"})
    return next((key for key in keys if isinstance(holder[key], str) and "://" in holder[key]), "")


def _ask_http(work: Work, step: Object) -> None:
    """A request of HTTP is a tool here: the one that is registered for the URL, or a question with the document."""
    holder = step if _url_key(step) else step.get("with")
    key = _url_key(holder)
    if not key or not isinstance(holder, Object):
        _similar(work, step, str(step.get("uses", "http")))
        return
    url = holder[key]
    method = next((str(holder[name]).upper() for name in holder if folded(name) == "method"), "GET")
    same = [tool for tool in work.tools.values() if tool.url and _same_url(tool.url, url)]
    arguments = next(
        (holder[name] for name in holder if folded(name) in {"body", "json", "data", "query", "params"}), None
    )
    kept = plain(arguments) if isinstance(arguments, Object) else {}
    name = _tool_name(url, work)
    document = {
        "name": f"tools/{name}",
        "effect": "READ" if method == "GET" else "IDEMPOTENT",
        "http": {"method": method, "url": url},
    }
    others = [tool for tool in _ranked(work, f"{name}.{urlsplit(url).path}", kept, step) if tool not in same][:3]
    options = [
        _http_option(work, step, f"tool:{tool.name}", f"calls the registered tool {tool.name}", tool.name, kept)
        for tool in [*same[:1], *others]
    ]
    label = f"register it first: ordinaut tool apply, with {json.dumps(document)}"
    options.append(_http_option(work, step, "register", label, name, kept))
    options.append(_removal(work, step))
    text = f"A request to {url[:120]} is a tool here, which must be registered. Which one is called?"
    work.draft.ask(Ask(_question_id(work, step), text, options, options[0].id if same else "register"))


def _http_option(work: Work, step: Object, option: str, label: str, name: str, arguments: Any) -> Option:
    surplus = [key for key in step if key not in STEP_FIELDS]
    settings = [(step, key, REMOVED) for key in surplus]
    return Option(option, label, [*settings, (step, "uses", name), (step, "with", arguments)])


def _same_url(first: str, second: str) -> bool:
    return first.split("?", maxsplit=1)[0].rstrip("/") == second.split("?", maxsplit=1)[0].rstrip("/")


def _tool_name(url: str, work: Work) -> str:
    """A name for the tool of a URL: the domain and the last word of the path.

    >>> _tool_name("https://api.example.com/v1/weather", None)
    'example.weather'
    """
    parts = urlsplit(url)
    host = [word for word in (parts.hostname or "http").split(".") if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    domain = host[-2] if len(host) > 1 else (host or ["http"])[0]
    words = [
        word for word in re.findall(r"[a-z][a-z0-9_-]*", parts.path.lower()) if not re.fullmatch(r"v\d+|api", word)
    ]
    return f"{domain}.{words[-1] if words else 'request'}"


def _similar(work: Work, step: Object, name: str) -> None:
    """A tool that does not exist: the only one that it can be, or a question."""
    arguments = step.get("with")
    ranked = _ranked(work, name, arguments, step)
    best = [tool for tool in ranked if SequenceMatcher(None, tool.name, name.lower()).ratio() >= SAME]
    if len(best) == 1 and _fits(best[0], arguments):
        work.draft.put(step, "uses", best[0].name, f"The nearest tool is {best[0].name}.", ASSUMED)
        return
    fitting = [tool for tool in ranked if _fits(tool, arguments)]
    if len(fitting) == 1 and len(ranked) == 1 and isinstance(arguments, Object) and arguments:
        why = f"Of the registered tools, only {fitting[0].name} is similar and takes this input."
        work.draft.put(step, "uses", fitting[0].name, why, ASSUMED)
        return
    options = [
        Option(f"tool:{tool.name}", f"calls {tool.name}", [(step, "uses", tool.name)]) for tool in ranked[:CHOICES_MAX]
    ]
    options.append(
        Option("register", f"register a tool {name} first, with ordinaut tool apply", [(step, "uses", name)])
    )
    options.append(_removal(work, step))
    text = f"There is no tool {name[:80]!r} that the caller may use. Which one is meant?"
    work.draft.ask(Ask(_question_id(work, step), text, options, options[0].id))


def _removal(work: Work, step: Object) -> Option:
    place = next(
        (
            (steps, index)
            for steps in lists_of_steps(work)
            for index, candidate in enumerate(steps)
            if candidate is step
        ),
        None,
    )
    settings = [(place[0], place[1], REMOVED)] if place else []
    return Option("remove", "leaves out the step", settings)


def _question_id(work: Work, step: Object) -> str:
    return f"{work.prefix}tool:{step.get('id') or step.get('name') or step.get('uses') or 'step'}"


def _ranked(work: Work, name: str, arguments: Any, step: Object) -> list[ToolInfo]:
    """The tools with similar names or words, those that take the input first."""
    words = _name_words(name) | _name_words(str(step.get("id", "")))
    scored = []
    for tool in work.tools.values():
        ratio = SequenceMatcher(None, tool.name, name.lower()).ratio()
        shared = len(words & _name_words(tool.name))
        if tool.name.startswith(PREFIX) and ratio < SAME:
            continue
        if ratio >= NEAR or shared:
            scored.append((-(_fits(tool, arguments) * 2 + shared + ratio), tool.name, tool))
    return [tool for _, _, tool in sorted(scored, key=lambda item: item[:2])]


SYNONYMS = {
    **dict.fromkeys(("email", "gmail", "smtp", "mailer", "emails"), "mail"),
    **dict.fromkeys(("fetch", "read", "load", "retrieve", "query", "lookup"), "get"),
    **dict.fromkeys(("notify", "post", "deliver"), "send"),
    **dict.fromkeys(("events", "event", "agenda", "meetings"), "events"),
    **dict.fromkeys(("weather", "forecasts"), "weather"),
}


COMMON = frozenset({"the", "api", "com", "www", "step", "get", "send", "list", "create", "run", "tool", "task", "make"})
"""Words that say nothing about which tool is meant."""


def _name_words(text: str) -> set[str]:
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower()
    return {SYNONYMS.get(word, word) for word in re.findall(r"[a-z]{3,}", split)} - COMMON


def _fits(tool: ToolInfo, arguments: Any) -> bool:
    """Whether the literal input has what the tool requires, and nothing that it does not know."""
    keys = set(arguments) if isinstance(arguments, Object) else set()
    closed = isinstance(tool.input_schema, dict) and tool.input_schema.get("additionalProperties") is False
    return set(tool.required) <= keys and (keys <= set(tool.inputs) or not closed)


def match_inputs(work: Work) -> None:
    """An input under another word: the only one that the tool requires and the step does not have."""
    for step in steps_of(work):
        uses, arguments = step.get("uses"), step.get("with")
        tool = work.tools.get(uses) if isinstance(uses, str) else None
        if tool is None or not isinstance(arguments, Object) or not tool.inputs or tool.name.startswith(PREFIX):
            continue
        for key in [key for key in arguments if key not in tool.inputs]:
            target = folded(key)
            if target in tool.inputs and target not in arguments:
                work.draft.rename(arguments, key, target, f"The input is called `{target}`.", CERTAIN)
        missing = [name for name in tool.required if name not in arguments]
        unknown = [key for key in arguments if key not in tool.inputs]
        renames = _synonyms(tool, arguments)
        closed = isinstance(tool.input_schema, dict) and tool.input_schema.get("additionalProperties") is False
        if renames and (len(missing) > 1 or (closed and not missing)) and set(renames.values()) >= set(missing):
            _ask_inputs(work, step, arguments, renames)
        elif len(missing) == 1 and len(meant := [key for key, name in renames.items() if name == missing[0]]) == 1:
            why = f"`{missing[0]}` is the input of the tool for it."
            work.draft.rename(arguments, meant[0], missing[0], why, ASSUMED)
        elif len(missing) == 1 and len(unknown) == 1:
            why = f"`{missing[0]}` is the only input that is missing."
            work.draft.rename(arguments, unknown[0], missing[0], why, ASSUMED)


INPUT_WORDS = (
    frozenset({"to", "recipient", "recipients", "email", "receiver", "address", "send_to"}),
    frozenset({"text", "body", "message", "content", "msg", "html"}),
    frozenset({"city", "location", "place", "town"}),
    frozenset({"query", "q", "search", "term", "terms", "keywords"}),
    frozenset({"channel", "room", "channel_id"}),
    frozenset({"title", "subject", "summary", "headline"}),
    frozenset({"sql", "statement"}),
    frozenset({"limit", "max_results", "max", "top", "size", "page_size", "count"}),
    frozenset({"start", "from", "since", "start_time", "start_date"}),
    frozenset({"end", "until", "end_time", "end_date"}),
)
"""Words for the same input."""


def _synonyms(tool: ToolInfo, arguments: Object) -> dict[str, str]:
    """The declared input for each unknown one, where one set of words has both."""
    renames: dict[str, str] = {}
    for key in arguments:
        if key in tool.inputs:
            continue
        for words in INPUT_WORDS:
            targets = [name for name in tool.inputs if name in words and name not in arguments]
            if folded(key) in words and len(targets) == 1:
                renames[key] = targets[0]
    return renames


def _ask_inputs(work: Work, step: Object, arguments: Object, renames: dict[str, str]) -> None:
    pairs = ", ".join(f"{old} as {new}" for old, new in renames.items())
    moved = [(arguments, new, arguments[old]) for old, new in renames.items()]
    surplus = [(arguments, old, REMOVED) for old in renames]
    options = [
        Option("rename", f"takes {pairs}", [*moved, *surplus]),
        Option("remove", "leaves these inputs out", surplus),
    ]
    text = f"{step.get('uses')} has other inputs. Are they these: {pairs}?"
    work.draft.ask(Ask(f"{work.prefix}input:{step.get('id')}", text, options, "rename"))


def ask_missing(work: Work) -> None:
    """Asks for inputs that a tool requires and the step does not have, and about those that it does not know."""
    for step in steps_of(work):
        tool, arguments = work.tools.get(str(step.get("uses"))), step.get("with", Object())
        if tool is None or tool.name.startswith(PREFIX) or not isinstance(arguments, Object) or not step.get("id"):
            continue
        if any(ask.id == f"{work.prefix}input:{step['id']}" for ask in work.draft.asks):
            continue  # the names of its inputs are open
        for name in [name for name in tool.required if name not in arguments]:
            values = {"param": f"${{params.{name}}}", "event": f"${{event.data.{name}}}"}
            options = [
                Option("param", f"the param {name}, which each run gets", _input(step, name, values["param"])),
                Option(
                    "event", f"{name} in the data of the event that starts the run", _input(step, name, values["event"])
                ),
            ]
            text = f"{tool.name} requires the input {name!r}. Where does it come from?"
            work.draft.ask(Ask(f"{work.prefix}input:{step['id']}.{name}", text, options, "param"))
        closed = isinstance(tool.input_schema, dict) and tool.input_schema.get("additionalProperties") is False
        for key in [key for key in arguments if closed and key not in tool.inputs and not _synonyms(tool, arguments)]:
            options = [
                Option("remove", f"leaves {key} out", [(arguments, key, REMOVED)]),
                Option("keep", f"keeps {key}: the tool must be changed first", [(arguments, key, arguments[key])]),
            ]
            listed = ", ".join(list(tool.inputs)[:20])
            text = f"{tool.name} has no input {key!r} (its inputs: {listed}). What becomes of it?"
            work.draft.ask(Ask(f"{work.prefix}input:{step['id']}.{key}", text, options, "remove"))


def _input(step: Object, name: str, value: str) -> list[tuple[Any, str, Any]]:
    """The setting of an input, also in a step without any."""
    arguments = step.get("with")
    return [(arguments, name, value)] if isinstance(arguments, Object) else [(step, "with", {name: value})]


def input_lists(work: Work) -> None:
    """`with: [{name: a, value: 1}]` is an object."""
    for step in steps_of(work):
        arguments = step.get("with")
        if isinstance(arguments, str) and arguments.strip().startswith("{") and '"' in arguments:
            _parsed(work, step, arguments)
        elif isinstance(arguments, str) and "${" not in arguments and "{{" not in arguments and "=" in arguments:
            _pairs(work, step, arguments)
        if (
            isinstance(arguments, Array)
            and arguments
            and all(isinstance(item, str) and "=" in item for item in arguments)
        ):
            _pairs(work, step, " ".join(arguments))
        elif isinstance(arguments, Array) and arguments and all(isinstance(item, Object) for item in arguments):
            if all(set(item) == {"name", "value"} for item in arguments):
                joined = {str(item["name"]): item["value"] for item in arguments}
            elif all(len(item) == 1 for item in arguments):
                joined = {key: value for item in arguments for key, value in item.items()}
            else:
                continue
            work.draft.put(step, "with", joined, "The input of a tool is an object.")


def _pairs(work: Work, step: Object, text: str) -> None:
    """`with: to=team text=hello`."""
    try:
        words = shlex.split(text)
    except ValueError:
        return
    if all(re.match(r"[A-Za-z_]\w*=", word) for word in words):
        pairs = dict(word.split("=", 1) for word in words)
        work.draft.put(step, "with", pairs, "The input of a tool is an object.", ASSUMED)


def positional(work: Work) -> None:
    """`args: [shop]`: the inputs that the tool requires, in their order."""
    for step in steps_of(work):
        arguments, tool = step.get("with"), work.tools.get(str(step.get("uses")))
        if tool is None or not isinstance(arguments, Array) or not arguments:
            continue
        if len(arguments) == len(tool.required) and not any(isinstance(item, Object) for item in arguments):
            named = dict(zip(tool.required, arguments, strict=True))
            work.draft.put(step, "with", named, "Names the inputs in the order of the tool.", ASSUMED)


def _parsed(work: Work, step: Object, text: str) -> None:
    """`with` as a text of JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return
    if isinstance(value, dict):
        work.draft.put(step, "with", value, "The input of a tool is an object, not its text.")


def single_values(work: Work) -> None:
    """`title: [Agenda]` where the tool takes a text."""
    for step, arguments, tool in calls(work):
        for key in list(arguments):
            value, schema = arguments[key], tool.inputs.get(key)
            kind = schema.get("type") if isinstance(schema, dict) else None
            if isinstance(value, Array) and len(value) == 1 and kind in {"string", "number", "integer"}:
                work.draft.put(step["with"], key, value[0], "The input is a single value.", ASSUMED)


def calls(work: Work) -> Iterator[tuple[Object, Object, ToolInfo]]:
    """Every step that calls a known tool with an object: the step, the object, and the tool."""
    for step in steps_of(work):
        arguments, tool = step.get("with"), work.tools.get(str(step.get("uses")))
        if isinstance(arguments, Object) and tool is not None:
            yield step, arguments, tool
