"""The results of steps on Ordinaut's own stores, simulated on stores that are empty at the start of the run."""

from typing import Any

from ordinaut.names import child_key, emitted_uid
from pipeline_engine.data.failure import TOOL_ERROR, Failure
from pipeline_engine.interpreter.requests import Output


class VirtualStores:
    """The state entries of one simulated run: values with their revisions."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[Any, int]] = {}

    def apply(self, tool: str, arguments: dict[str, Any], idempotency_key: str) -> Output | Failure | None:
        """Returns the outcome of an effect; None for an unknown tool."""
        match tool:
            case "orchestrator.emit":
                return Output({"event": f"events/{emitted_uid(idempotency_key)}"})
            case "orchestrator.run_task":
                return Output({"run": f"runs/{child_key(idempotency_key)}"})
            case "orchestrator.get_state":
                value, revision = self._entries.get(_key(arguments), (arguments.get("default"), 0))
                return Output({"value": value, "revision": revision})
            case "orchestrator.put_state":
                return self._put(arguments)
        return None

    def adopt(self, tool: str, arguments: dict[str, Any], output: Any) -> None:
        """Updates the entries from the mocked or recorded output of an effect."""
        if not isinstance(output, dict) or not isinstance(output.get("revision"), int):
            return
        if tool == "orchestrator.get_state" and output["revision"]:
            self._entries[_key(arguments)] = (output.get("value"), output["revision"])
        elif tool == "orchestrator.put_state":
            self._entries[_key(arguments)] = (arguments["value"], output["revision"])

    def _put(self, arguments: dict[str, Any]) -> Output | Failure:
        namespace, key = _key(arguments)
        _, revision = self._entries.get((namespace, key), (None, 0))
        if arguments.get("revision", revision) != revision:
            message = f"state/{namespace}/{key} has another revision"
            return Failure(TOOL_ERROR, message, details={"expected": arguments["revision"]})
        self._entries[namespace, key] = (arguments["value"], revision + 1)
        return Output({"revision": revision + 1})


def _key(arguments: dict[str, Any]) -> tuple[str, str]:
    return arguments["namespace"], arguments["key"]
