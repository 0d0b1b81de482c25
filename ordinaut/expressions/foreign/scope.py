"""What the names of other languages refer to here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

Key = str | int

ROOTS = frozenset({"params", "steps", "event", "run", "now", "step", "item", "index", "secrets", "error"})
STEP_ROOTS = frozenset(
    {
        *("step", "outputs", "results", "result", "output", "tasks", "task", "jobs", "job", "nodes", "node", "needs"),
        *(
            "stages",
            "responses",
            "response",
            "$node",
            "$",
            "$steps",
            "$step",
            "data",
            "context",
            "ctx",
            "state",
            "stage",
        ),
    }
)
"""Names before the name of a step."""
PARAM_ROOTS = frozenset(
    {
        *(
            "inputs",
            "input",
            "args",
            "arguments",
            "parameters",
            "parameter",
            "param",
            "vars",
            "variables",
            "var",
            "env",
        ),
        *("environment", "config", "settings", "values", "options", "$params", "$inputs", "$env", "$vars", "$input"),
        *("context", "ctx", "workflow", "pipeline", "globals", "dag_run", "conf", "github", "trigger", "payload"),
        *("defaults", "props", "request", "query", "body"),
    }
)
"""Names before the name of a param."""
TASK_ROOTS = frozenset({"task", "self", "this", "job", "flow", "workflow", "pipeline"})
"""Names of the task itself."""
WRAPPERS = frozenset({"inputs", "parameters", "params", "conf", "event", "vars", "variables", "env", "args", "context"})
"""Names that may stand between a root and the name of a param: `github.event.inputs.x`."""
ERROR_WORDS = {**dict.fromkeys(("msg", "text", "description", "reason"), "message"), "type": "code", "error": "message"}
RUN_PARAMS = frozenset({"params", "inputs", "parameters", "input", "args"})
"""Names of the params as a member of the run or the task: `run.params.x`, `task.inputs.x`."""
SECRET_ROOTS = frozenset({"secret", "vault", "credentials", "$secrets", "$credentials"})
EVENT_ROOTS = frozenset({"$event", "trigger", "$trigger", "payload", "message", "webhook"})
EVENT_FIELDS = frozenset(
    {"topic", "source", "subject", "data", "name", "position", "publisher", "publish_time", "id", "depth"}
)
OUTPUT_WORDS = frozenset({"output", "outputs", "result"})
"""Names between a step and a member of its output."""
LOOSE_OUTPUT_WORDS = frozenset(
    {"results", "return_value", "returns", "json", "data", "body", "response", "value", "content", "item"}
)
"""As OUTPUT_WORDS, but only where the schema decides: many outputs have such members."""
PREVIOUS = frozenset({"$json", "previous", "prev", "last", "$prev", "$previous", "_", "$input", "$output", "$result"})
ITEMS = frozenset(
    {"item", "$item", "element", "elem", "it", "each", "row", "entry", "loop", "current", "i", "idx", "$index"}
)
NOW = frozenset({"$now", "$today", "today", "date", "timestamp", "current_date", "current_time", "datetime", "utcnow"})
KEYWORDS = frozenset({"secrets", "item", "index", "step", "error", "true", "false", "null", "@", "$"})
RELATED_MIN = 4  # characters
NAMES_MAX = 100  # that a name is compared with
SIMILAR = 0.75  # ratio of difflib: a misspelled name rather than a param
RUN = {
    "run_id": ("run", "name"),
    "execution_date": ("run", "scheduled_time"),
    "logical_date": ("run", "scheduled_time"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The names at the place of an expression.

    `steps` maps the names of steps as they were written to the names that they have; `outputs` are the declared members
    of their outputs, None where nothing is declared. `aliases` are names that stand for another path, such as variables
    that a step sets; `moved` are steps in branches, with the path under which their output is read outside. `approvals`
    are steps that ask for one, `values` those that read an entry of the state. `in_event`: the names are the fields of
    an event. `dashed` are the names that `composed` returns, if they are known. `loop_names` are names of the element
    of a loop. `handled` are steps with an
    error handler. `order` are the ids of the steps of the
    pipeline, which a number may stand for. `previous` is the step before, `time_zone` the zone of the schedule.
    """

    steps: Mapping[str, str] = field(default_factory=dict)
    params: Collection[str] = ()
    outputs: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    loop_names: Collection[str] = ()
    in_loop: bool = False
    in_handler: bool = False
    previous: str = ""
    time_zone: str = "UTC"
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    approvals: Collection[str] = ()
    values: Collection[str] = ()
    in_event: bool = False
    dashed: tuple[str, ...] | None = None
    order: tuple[str, ...] = ()
    handled: Collection[str] = ()

    @property
    def composed(self) -> tuple[str, ...]:
        """The names of steps and params that contain a dash or a space."""
        if self.dashed is not None:
            return self.dashed
        return tuple(name for name in (*self.steps, *self.params) if "-" in name or " " in name)


@dataclass(slots=True)
class Resolved:
    """A path from a root here. `undeclared` is the name of a param that is not declared."""

    path: list[Key]
    certain: bool = True
    undeclared: str = ""


def resolve(path: list[Key], scope: Scope) -> Resolved:  # noqa: PLR0911 - one for each root
    """The path that is meant; one that is not understood is returned as it is.

    >>> scope = Scope(steps={"w": "w"}, outputs={"w": ["temp"]}, params=["city"])
    >>> resolve(["steps", "w", "output", "temp"], scope)
    Resolved(path=['steps', 'w', 'temp'], certain=True, undeclared='')
    >>> resolve(["inputs", "city"], scope).path, resolve(["w", "temp"], scope).path
    (['params', 'city'], ['steps', 'w', 'temp'])
    """
    if path and path[0] == "$" and len(path) > 1:
        path = path[1:]
    root = str(path[0])
    if scope.in_event:
        return _in_event(path)
    if root.startswith("$") and root[1:] in ROOTS:
        path = [root[1:], *path[1:]]
        root = root[1:]
    second = str(path[1]) if len(path) > 1 else ""
    if root in scope.loop_names:
        return Resolved(["item", *path[1:]])
    if root == "steps" and second.isdecimal() and second not in scope.steps and int(second) < len(scope.order):
        return replace(_step(["steps", scope.order[int(second)], *path[2:]], scope), certain=False)
    if root == "steps" or (root in STEP_ROOTS and second in scope.steps):
        return _step(path, scope)
    if root == "params":
        return Resolved(path)
    if root in {"event", "run", "now", "index", "secrets", "error"}:
        return _own_root(root, path)
    if root == "item" and scope.in_loop:
        return Resolved(path)
    return _foreign(root, path, scope)


def _foreign(root: str, path: list[Key], scope: Scope) -> Resolved:  # noqa: PLR0911 - one for each kind of root
    second = str(path[1]) if len(path) > 1 else ""
    if scope.in_loop and root in ITEMS and (root not in scope.steps or second in {"value", "item", "index", "key"}):
        return _item(root, path)
    if root in scope.steps:
        result = _step(["steps", *path], scope)
        if len(result.path) == 2 and result.path[1] in scope.values:
            result.path.append("value")
        return Resolved(result.path, _declares(scope, result.path), "")
    if (alias := _alias(root, path, scope)) is not None:
        return alias
    if scope.in_handler and root in {"exception", "err", "$error", "failure", "exc"}:
        return Resolved(["error", *(path[1:] or ["message"])], certain=False)
    if root in PREVIOUS and (scope.previous or (root == "$json" and second)):
        return _previous(root, path, scope)
    if root in TASK_ROOTS and second in RUN_PARAMS and len(path) > 2:
        return Resolved(["params", *path[2:]])
    if root in PARAM_ROOTS and (param := _param(path, scope)) is not None:
        return param
    return _by_root(root, second, path, scope) or _unknown(root, second, path, scope)


def _previous(root: str, path: list[Key], scope: Scope) -> Resolved:
    """The output of the step before; `$json` of the first step is what the trigger gives."""
    if not scope.previous:
        start = 2 if path[1] in {"body", "query", "params"} and len(path) > 2 else 1
        return Resolved(["params", *path[start:]], certain=False, undeclared=str(path[start]))
    rest = path[1:]
    while rest and rest[0] in {"item", "first", "json", "all", "output", "result", "body"} and root != "$json":
        rest = rest[1:]
    return Resolved(["steps", scope.previous, *rest], _declares(scope, ["steps", scope.previous, *rest]))


def _by_root(root: str, second: str, path: list[Key], scope: Scope) -> Resolved | None:
    """A path whose root alone decides."""
    if root in SECRET_ROOTS and second:
        return Resolved(["secrets", second.lower()], second.islower())
    if root in EVENT_ROOTS and second:
        return _event(path)
    if root in RUN:
        return Resolved([*RUN[root], *path[1:]], certain=False)
    if root in NOW:
        return Resolved(["now"], certain=False)
    return Resolved(["params", *path], certain=False) if root in scope.params else None


def _unknown(root: str, second: str, path: list[Key], scope: Scope) -> Resolved:
    if root in PARAM_ROOTS and second:
        return Resolved(["params", *_unwrapped(path)], certain=False, undeclared=str(_unwrapped(path)[0]))
    known = [*ROOTS, *scope.steps, *scope.params][:NAMES_MAX]
    if len(path) > 2 or root in KEYWORDS or get_close_matches(root, known, 1, SIMILAR):
        return Resolved(path)
    return Resolved(["params", *path], certain=False, undeclared=root)


def _alias(root: str, path: list[Key], scope: Scope) -> Resolved | None:
    """A variable: `vars.city`, `env.TOKEN`, or `city` alone."""
    rest = _unwrapped(path) if root in PARAM_ROOTS else path
    name = str(rest[0]) if rest else ""
    if name not in scope.aliases or name in scope.params:
        return None
    return Resolved([*scope.aliases[name], *rest[1:]], certain=False)


def _step(path: list[Key], scope: Scope) -> Resolved:
    """`steps.<written name>…` with the name that the step has, and without words for its output."""
    if len(path) < 2:
        return Resolved(path)
    name: Key = scope.steps.get(str(path[1]), str(path[1]))
    rest, certain = path[2:], path[0] in {"steps", "$steps"}
    if path[0] == "$node" and rest and rest[0] == "json":
        rest, certain = rest[1:], True
    if name in scope.moved:
        outer, *branch = scope.moved[str(name)]
        return Resolved(["steps", outer, *branch, *rest])
    declared = scope.outputs.get(str(name))
    if name in scope.approvals and rest and rest[0] in {"decision", "answer", "response"}:
        return Resolved(["steps", name, "choice", *rest[1:]], certain=False)
    if declared is not None and rest and isinstance(rest[0], str) and len(near := _related(rest[0], declared)) == 1:
        return Resolved(["steps", name, near[0], *rest[1:]], certain=False)
    if rest and rest[0] == "branches" and declared is not None and "branches" not in declared:
        rest = rest[1:]
    while rest and isinstance(rest[0], str) and rest[0] in OUTPUT_WORDS | LOOSE_OUTPUT_WORDS:
        following = rest[1] if len(rest) > 1 else None
        if declared is not None and rest[0] in declared:
            break
        if declared is None and (rest[0] in LOOSE_OUTPUT_WORDS or (rest[0] == "result" and following is None)):
            break
        certain = certain and declared is not None and (following is None or following in declared)
        rest = rest[1:]
    return Resolved(["steps", name, *rest], certain or _declares(scope, ["steps", name, *rest]))


def _related(name: str, declared: Collection[str]) -> list[str]:
    """The declared members of which an undeclared name is the longer or shorter form: `temperature` for `temp`."""
    if name in declared or len(name) < RELATED_MIN or name in OUTPUT_WORDS | LOOSE_OUTPUT_WORDS:
        return []
    return [
        member
        for member in declared
        if len(member) >= RELATED_MIN and (name.startswith(member) or member.startswith(name))
    ]


def _declares(scope: Scope, path: list[Key]) -> bool:
    declared = scope.outputs.get(str(path[1]))
    return declared is not None and len(path) > 2 and path[2] in declared


def _own_root(root: str, path: list[Key]) -> Resolved:
    if root == "event" and len(path) > 1 and path[1] not in EVENT_FIELDS:
        return _event(path)
    if root == "secrets" and len(path) > 1:
        return Resolved(["secrets", str(path[1]).lower(), *path[2:]], str(path[1]).islower())
    if root == "error" and len(path) == 2 and path[1] in ERROR_WORDS:
        return Resolved(["error", ERROR_WORDS[str(path[1])]])
    if root == "run" and len(path) > 2 and path[1] in RUN_PARAMS:
        return Resolved(["params", *path[2:]])
    if root == "run" and len(path) > 1 and path[1] == "id":
        return Resolved(["run", "name"], certain=False)
    return Resolved(path)


def _in_event(path: list[Key]) -> Resolved:
    """A path of a condition on an event, whose root names are the fields of the event."""
    wrapped = str(path[0]) in {"event", "trigger", "$event"} and len(path) > 1
    rest = path[1:] if wrapped else path
    if not wrapped or str(rest[0]) in EVENT_FIELDS:
        return Resolved(rest)
    return Resolved(_event(path).path[1:], certain=False)


def _event(path: list[Key]) -> Resolved:
    second = str(path[1])
    if second == "event" and len(path) > 2:
        return _event(path[1:])
    if second in EVENT_FIELDS:
        return Resolved(["event", *path[1:]], path[0] == "event")
    rest = path[2:] if second in {"payload", "body", "json", "detail"} else path[1:]
    return Resolved(["event", "data", *rest], certain=False)


def _item(root: str, path: list[Key]) -> Resolved:
    second = str(path[1]) if len(path) > 1 else ""
    if root in {"i", "idx", "$index"} or (root == "loop" and second in {"index0", "idx"}):
        return Resolved(["index"], certain=False)
    if root in {"each", "loop", "it", "current"} and second in {"value", "item", "element", "current"}:
        return Resolved(["item", *path[2:]])
    if root == "each" and second in {"key", "index"}:
        return Resolved(["index"], certain=False)
    return Resolved(["item", *path[1:]], certain=root == "$item")


def _unwrapped(path: list[Key]) -> list[Key]:
    rest = path[1:]
    while len(rest) > 1 and rest[0] in WRAPPERS:
        rest = rest[1:]
    return rest


def _param(path: list[Key], scope: Scope) -> Resolved | None:
    """The param that is declared under this name, also in another spelling."""
    rest = _unwrapped(path)
    if not rest:
        return None
    name = str(rest[0])
    if name in scope.params:
        return Resolved(["params", *rest])
    plain = name.lower().replace("-", "_")
    same = [param for param in scope.params if param.lower().replace("-", "_") == plain]
    return Resolved(["params", same[0], *rest[1:]], certain=False) if len(same) == 1 else None
