"""The drafts with their oracles: the tasks that their authors meant (tests/data/drafts/README.md)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from benchmarks.drafts.tools import DATA
from benchmarks.drafts.validity import read_task
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.v1.task_pb2 import Task

TRIGGERS = ("cron", "rrule", "interval", "once", "event")
PIPELINE = ("steps", "output", "on_error", "timeout")
SETS = {"shared": "shared drafts", "own": "own drafts", "single": "single mistakes"}


@dataclass(frozen=True)
class Draft:
    """A draft and what it means.

    `oracles` are the acceptable tasks; `more` are the further tasks of the document. `question` names what has to be
    asked; with `may_ask` it may also be decided. With `asked_only` the answer is not compared, because every choice
    means another task than the draft.
    """

    id: str
    group: str
    family: str
    text: str
    oracles: tuple[Mapping[str, Any], ...]
    more: tuple[Mapping[str, Any], ...] = ()
    question: str = ""
    may_ask: bool = False
    asked_only: bool = False
    format: str = ""
    zone: str = ""

    def tasks(self, now: datetime) -> list[Task]:
        """The oracles as tasks; `<tomorrow>` in them is a day after `now`."""
        return [read_task(_dated(oracle, now)) for oracle in self.oracles]

    def further_tasks(self, now: datetime) -> list[Task]:
        """The further tasks of the document, by name."""
        return sorted((read_task(_dated(each, now)) for each in self.more), key=lambda task: task.name)


def drafts(group: str) -> list[Draft]:
    """All drafts of a group: `shared`, `own` or `single`.

    Raises:
        ValueError: two drafts have one id, or a mistake changes nothing.
    """
    read = {"shared": _shared, "own": _own, "single": _single}[group]
    result = list(read(DATA / group))
    if len({draft.id for draft in result}) != len(result):
        raise ValueError(f"two drafts of {group} have one id")
    return result


def _shared(folder: Path) -> Iterator[Draft]:
    entries = {entry["id"]: entry for entry in read_yaml((folder / "oracles.yml").read_bytes())}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.json")]):
        yield _draft({**entries[path.stem], "text": path.read_text()}, "shared", "shared")


def _own(folder: Path) -> Iterator[Draft]:
    for path in sorted(folder.glob("*.yaml")):
        for entry in read_yaml(path.read_bytes()):
            yield _draft(entry, "own", path.stem)


def _single(folder: Path) -> Iterator[Draft]:
    """Each has a valid task, in which `at` is replaced by `write`, and by `means` in the oracle (unchanged without)."""
    valid = {path.stem: path.read_text() for path in (folder / "valid").glob("*.yaml")}
    for path in sorted(folder.glob("*.yaml")):
        for number, entry in enumerate(read_yaml(path.read_bytes()), 1):
            text, name = valid[entry["of"]], f"{path.stem}-{number:02}"
            if text.count(entry["at"]) != 1:
                raise ValueError(f"{name}: {entry['at']!r} is {text.count(entry['at'])} times in {entry['of']}")
            oracle = read_yaml(text.replace(entry["at"], entry.get("means", entry["at"])).encode())
            written = text.replace(entry["at"], entry["write"])
            also = [read_yaml(text.replace(entry["at"], other).encode()) for other in entry.get("or", ())]
            yield _draft({**entry, "id": name, "text": written, "oracle": oracle, "also": also}, "single", path.stem)


def _draft(entry: Mapping[str, Any], group: str, family: str) -> Draft:
    oracle = entry["oracle"]
    others = [{**oracle, **other} if "pipeline" not in other else other for other in entry.get("also", ())]
    others = [_one_schedule(dict(other), extra) for other, extra in zip(others, entry.get("also", ()), strict=True)]
    accepted = [oracle, *others]
    if entry.get("any_factor"):
        accepted += [_without_factor(each) for each in accepted]
    return Draft(
        id=entry["id"],
        group=group,
        family=family,
        text=entry["text"],
        oracles=tuple(_task(each) for each in accepted),
        more=tuple(_task(each) for each in entry.get("more", ())),
        question=entry.get("question", ""),
        may_ask=entry.get("may_ask", False),
        asked_only=entry.get("asked_only", False),
        format=entry.get("format", ""),
        zone=entry.get("zone", ""),
    )


def _without_factor(value: Any) -> Any:
    """The same with the default factor of retries, for drafts that do not say whether their delays grow."""
    if isinstance(value, list):
        return [_without_factor(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_factor(item) for key, item in value.items() if (key, item) != ("factor", 1)}
    return value


def _one_schedule(oracle: dict[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """An alternative that sets a trigger replaces the schedule of the oracle."""
    keys = {*TRIGGERS, "schedule"}
    if keys & changed.keys():
        for key in keys - changed.keys():
            oracle.pop(key, None)
    return oracle


def _task(oracle: Mapping[str, Any]) -> dict[str, Any]:
    """The task of a short form: a trigger with `zone`, and the parts of the pipeline, at the top."""
    task = {
        key: value for key, value in oracle.items() if value is not None and key not in (*TRIGGERS, "zone", *PIPELINE)
    }
    triggers = [{key: oracle[key]} for key in TRIGGERS if oracle.get(key) is not None]
    if triggers:
        task["schedule"] = {"triggers": triggers, **({"time_zone": oracle["zone"]} if "zone" in oracle else {})}
    parts = {key: oracle[key] for key in PIPELINE if oracle.get(key) is not None}
    if parts:
        task["pipeline"] = {"version": 1, **parts}
    return task


def _dated(oracle: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    zone = ZoneInfo((oracle.get("schedule") or {}).get("time_zone") or "UTC")
    tomorrow = (now.astimezone(zone) + timedelta(days=1)).date().isoformat()
    dated: dict[str, Any] = orjson.loads(orjson.dumps(oracle).replace(b"<tomorrow>", tomorrow.encode()))
    return dated
