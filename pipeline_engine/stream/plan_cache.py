"""Compiled definitions, kept by their hash."""

from collections import OrderedDict

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition
from pipeline_engine.language.compile import PlanError, compile_plan
from pipeline_engine.language.plan import Plan


class PlanCache:
    """At most `capacity` plans; the one that was longest unused makes room. What cannot be compiled is kept too."""

    def __init__(self, capacity: int = 2000) -> None:
        self._capacity = capacity
        self._plans: OrderedDict[tuple[str, bytes], Plan | PlanError] = OrderedDict()

    def get(self, definition: Definition) -> Plan:
        """The plan of a definition.

        Raises:
            PlanError: there can be none.
        """
        key = (definition.hash, definition.retry)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = _compiled(definition)
            if len(self._plans) > self._capacity:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        if isinstance(found, PlanError):
            raise PlanError(str(found))
        return found


def _compiled(definition: Definition) -> Plan | PlanError:
    try:
        return compile_plan(
            definition.pipeline,
            definition.tools,
            definition.denied_tools,
            definition.retry,
            project=definition.project,
            secrets=definition.secrets,
        )
    except PlanError as error:
        return error
