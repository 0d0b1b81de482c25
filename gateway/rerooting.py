"""Problems that another process found in a part of a request, as problems of the whole request."""

from collections.abc import Iterable
from dataclasses import replace

from ordinaut.errors import Repair, Violation
from ordinaut.internal.v1 import violation_pb2
from ordinaut.rpc.status import violation_of

POINTERS = ("path", "from")


def reroot(found: Iterable[violation_pb2.Violation], root: str) -> list[Violation]:
    """The violations with `field` and the fixes' JSON pointers below `root`, a path such as `task.pipeline`."""
    return [_rerooted(violation, root) for violation in found]


def join(root: str, field: str) -> str:
    """The path of `field` inside `root`."""
    if not field:
        return root
    return f"{root}{field}" if field.startswith("[") else f"{root}.{field}"


def _rerooted(violation: violation_pb2.Violation, root: str) -> Violation:
    fix = violation.fix if violation.HasField("fix") else None
    here = violation_of(join(root, violation.field), violation.message, violation.reason, fix)
    return here if here.repair is None else replace(here, repair=_moved(here.repair, root))


def _moved(repair: Repair, root: str) -> Repair:
    prefix = "/" + root.replace(".", "/")
    operations = [
        {key: prefix + str(value) if key in POINTERS else value for key, value in operation.items()}
        for operation in repair.operations
    ]
    return Repair(repair.explanation, operations)
