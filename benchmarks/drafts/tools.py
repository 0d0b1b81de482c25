"""The tools that the drafts use: their definitions for checks and simulations, and the answers of their calls."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from ordinaut.documents.yaml_text import read_yaml

DATA = Path(__file__).parents[2] / "tests" / "data" / "drafts"


@cache
def entries() -> tuple[Mapping[str, Any], ...]:
    """The registered tools as they are in the file, with `answers` and `shared`."""
    return tuple(read_yaml((DATA / "tools.yaml").read_bytes()))


def resource(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The tool as a resource that can be registered; nothing ever calls its address."""
    definition = {key: value for key, value in entry.items() if key not in {"answers", "shared"}}
    return {**definition, "name": f"tools/{entry['name']}", "http": {"url": "http://127.0.0.1:1/never"}}


@cache
def definitions() -> Mapping[str, bytes]:
    """All tools by name, also those that are built in, in the form that an engine reads."""
    built_in = orjson.loads(resources.files("ordinaut.store").joinpath("builtin_tools.json").read_bytes())
    registered = [{**resource(entry), "name": entry["name"]} for entry in entries()]
    return {tool["name"]: orjson.dumps(tool) for tool in [*built_in, *registered]}


@cache
def answers() -> Mapping[str, tuple[Any, ...]]:
    """The outputs of each registered tool, used in turn."""
    return {entry["name"]: tuple(entry["answers"]) for entry in entries()}
