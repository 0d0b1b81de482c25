"""Problems that another process found in a part of a request, as problems of the whole request."""

import re
from collections.abc import Iterable
from dataclasses import replace

from ordinaut.errors import Repair, Violation
from ordinaut.internal.v1 import violation_pb2
from ordinaut.rpc.status import violation_of

POINTERS = ("path", "from")
INDEX = re.compile(r"\[(\d+)\]")


def reroot(found: Iterable[violation_pb2.Violation], root: str) -> list[Violation]:
    """The violations with `field` and the fixes' JSON pointers below `root`, a path such as `task.pipeline`."""
    return [_rerooted(violation, root) for violation in found]


def under(root: str, found: Iterable[Violation]) -> list[Violation]:
    """Our own violations of a part of a request, such as `requests[3]`, as those of the whole."""
    return [_placed(violation, join(root, violation.field), root) for violation in found]


def join(root: str, field: str) -> str:
    """The path of `field` inside `root`."""
    if not field or not root:
        return root or field
    return f"{root}{field}" if field.startswith("[") else f"{root}.{field}"


def pointer_of(path: str) -> str:
    """The JSON pointer to what stands at a path such as `steps[0].with`."""
    return path and "/" + INDEX.sub(r"/\1", path).replace(".", "/").removeprefix("/")


def _rerooted(violation: violation_pb2.Violation, root: str) -> Violation:
    fix = violation.fix if violation.HasField("fix") else None
    field = join(root, violation.field)
    return _placed(violation_of(field, violation.message, violation.reason, fix), field, root)


def _placed(violation: Violation, field: str, root: str) -> Violation:
    repair = None if violation.repair is None else _moved(violation.repair, root)
    return replace(violation, field=field, repair=repair)


def _moved(repair: Repair, root: str) -> Repair:
    prefix = pointer_of(root)
    operations = [
        {key: prefix + str(value) if key in POINTERS else value for key, value in operation.items()}
        for operation in repair.operations
    ]
    return Repair(repair.explanation, operations)
