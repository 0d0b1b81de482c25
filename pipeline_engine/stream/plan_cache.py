"""A cache of compiled definitions."""

from collections import OrderedDict

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition
from pipeline_engine.language.compile import PlanError, compile_plan
from pipeline_engine.language.plan import Plan


class PlanCache:
    """At most `capacity` plans by definition hash; evicts the least recently used. Errors are cached too."""

    def __init__(self, capacity: int = 2000) -> None:
        self._capacity = capacity
        self._plans: OrderedDict[tuple[str, bytes], Plan | PlanError] = OrderedDict()

    def get(self, definition: Definition) -> Plan:
        """Returns the plan of a definition.

        Raises:
            PlanError: the definition cannot be compiled.
        """
        key = (definition.hash, definition.retry)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _compile(definition)
            if len(self._plans) > self._capacity:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        if isinstance(plan, PlanError):
            raise PlanError(str(plan))
        return plan


def _compile(definition: Definition) -> Plan | PlanError:
    try:
        return compile_plan(
            definition.pipeline,
            definition.tools,
            definition.denied_tools,
            definition.retry,
            project=definition.project,
            secrets=definition.secrets,
            semantics=definition.semantics,
            deadline_ms=definition.deadline_ms,
            revoked=definition.revoked_tools,
        )
    except PlanError as error:
        return error
