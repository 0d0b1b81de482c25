"""What steps on Ordinaut's own stores would come to: on stores that are empty when the run begins and end with it."""

from typing import Any

from ordinaut.names import child_key, emitted_uid
from pipeline_engine.data.failure import TOOL_ERROR, Failure
from pipeline_engine.interpreter.requests import Output


class VirtualStores:
    """The state entries that one simulated run knows: values with their revisions."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[Any, int]] = {}

    def perform(self, tool: str, given: dict[str, Any], idempotency_key: str) -> Output | Failure | None:
        """The outcome of an effect; None for a tool that is not known here."""
        match tool:
            case "orchestrator.emit":
                return Output({"event": f"events/{emitted_uid(idempotency_key)}"})
            case "orchestrator.run_task":
                return Output({"run": f"runs/{child_key(idempotency_key)}"})
            case "orchestrator.get_state":
                value, revision = self._entries.get(_name(given), (given.get("default"), 0))
                return Output({"value": value, "revision": revision})
            case "orchestrator.put_state":
                return self._put(given)
        return None

    def learn(self, tool: str, given: dict[str, Any], output: Any) -> None:
        """Takes over what an effect came to that was answered otherwise."""
        if not isinstance(output, dict) or not isinstance(output.get("revision"), int):
            return
        if tool == "orchestrator.get_state" and output["revision"]:
            self._entries[_name(given)] = (output.get("value"), output["revision"])
        elif tool == "orchestrator.put_state":
            self._entries[_name(given)] = (given["value"], output["revision"])

    def _put(self, given: dict[str, Any]) -> Output | Failure:
        namespace, key = _name(given)
        _, revision = self._entries.get((namespace, key), (None, 0))
        if given.get("revision", revision) != revision:
            message = f"state/{namespace}/{key} has another revision"
            return Failure(TOOL_ERROR, message, details={"expected": given["revision"]})
        self._entries[namespace, key] = (given["value"], revision + 1)
        return Output({"revision": revision + 1})


def _name(given: dict[str, Any]) -> tuple[str, str]:
    return given["namespace"], given["key"]
