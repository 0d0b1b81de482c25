"""Field masks change what they name and nothing else."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.field_masks import apply, masked_paths, writable_fields
from gateway.api.json_values import fill_struct, to_python
from gateway.api.violations import Problems
from gateway.rest.transcoding.merge_patch import changed_paths, without_nulls
from ordinaut.documents.reading import fill
from ordinaut.v1.task_pb2 import Task

WRITABLE = [
    "display_name",
    "description",
    "labels",
    "schedule",
    "run_policy",
    "pipeline",
    "params",
    "params_schema",
]


def task(**fields: object) -> Task:
    return ParseDict(fields, Task())


STORED = task(
    name="tasks/one",
    display_name="One",
    labels={"a": "1"},
    run_policy={"priority": 3, "max_losses": 2},
    params={"x": {"y": 1}},
    schedule={"time_zone": "UTC", "triggers": [{"cron": "* * * * *"}]},
)


def changed(changes: Task, *paths: str) -> tuple[Task, Problems]:
    problems = Problems()
    found = masked_paths(problems, changes, FieldMask(paths=paths))
    return apply(STORED, changes, found if not problems.violations else []), problems


def test_the_writable_fields_are_those_of_the_contract() -> None:
    """Neither the name, nor the etag, nor what the server sets."""
    assert writable_fields(Task()) == WRITABLE


def test_without_a_mask_every_set_field_is_taken() -> None:
    """What is unset stays."""
    result, _ = changed(task(name="tasks/one", etag="e", owner="agents/x", description="new"))
    assert result.description == "new"
    result.ClearField("description")
    assert result == STORED


def test_a_star_means_every_writable_field() -> None:
    """What is unset is cleared, the server's fields stay."""
    result, _ = changed(task(description="new"), "*")
    assert result == task(name="tasks/one", description="new")


def test_messages_maps_and_lists_are_replaced_as_wholes() -> None:
    """A mask that names them whole does not merge: an old entry would stay for ever."""
    changes = task(labels={"b": "2"}, params={"z": 1}, schedule={"triggers": [{"cron": "1 * * * *"}]})
    result, _ = changed(changes, "labels", "params", "schedule")
    assert result.labels == {"b": "2"}
    assert list(result.params.fields) == ["z"]
    assert (len(result.schedule.triggers), result.schedule.time_zone) == (1, "")


def test_without_a_mask_messages_are_merged() -> None:
    """A field of a message that is not sent stays; lists, maps and free JSON are one value."""
    changes = task(run_policy={"max_losses": 9}, schedule={"time_zone": "Asia/Tokyo"}, params={"z": 1})
    result, _ = changed(changes)
    assert (result.run_policy.priority, result.run_policy.max_losses) == (3, 9)
    assert (len(result.schedule.triggers), result.schedule.time_zone) == (1, "Asia/Tokyo")
    assert list(result.params.fields) == ["z"]


def test_paths_lead_into_maps_and_free_json() -> None:
    """A key is set or, if the changes lack it, removed; its neighbours stay."""
    changes = task(labels={"b": "2"}, params={"x": {"z": 2}})
    result, _ = changed(changes, "labels.a", "labels.b", "params.x.z")
    assert (dict(result.labels), to_python(result.params)) == ({"b": "2"}, {"x": {"y": 1, "z": 2}})
    result, _ = changed(changes, "params.x.y", "params.q", "labels.`b`")
    assert (dict(result.labels), to_python(result.params)) == ({"a": "1", "b": "2"}, {"x": {}})


def test_a_path_that_ends_with_a_star_merges() -> None:
    result, _ = changed(task(labels={"b": "2"}, params={"x": {"z": 2}, "n": None}), "labels.*", "params.*")
    assert dict(result.labels) == {"a": "1", "b": "2"}
    assert to_python(result.params) == {"x": {"y": 1, "z": 2}, "n": None}
    result, _ = changed(task(run_policy={"retry": {}}), "run_policy.*")
    assert (result.run_policy.priority, result.run_policy.HasField("retry")) == (3, True)


KEYS = st.sampled_from(["a", "b", "A.b", "`", "*", "x-y"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def merge_patch(target: Any, patch: Any) -> Any:
    """The algorithm as RFC 7396 §2 writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


@given(st.dictionaries(KEYS, JSON, max_size=3), st.dictionaries(KEYS, JSON, max_size=3))
def test_free_json_is_merged_as_the_rfc_says(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    """The body of a PATCH, by way of its mask."""
    before, changes = Task(), Task()
    fill_struct(before.params, stored)
    paths = changed_paths(Task.DESCRIPTOR, {"params": patch})
    assert not fill(without_nulls(Task.DESCRIPTOR, {"params": patch}), changes)
    problems = Problems()
    assert masked_paths(problems, changes, FieldMask(paths=paths)) == paths
    assert not problems.violations
    assert to_python(apply(before, changes, paths).params) == merge_patch(stored, patch)


def test_paths_may_be_nested() -> None:
    """Its neighbours stay."""
    result, _ = changed(task(run_policy={"priority": 1, "max_losses": 9}), "run_policy.priority", "schedule.triggers")
    assert (result.run_policy.priority, result.run_policy.max_losses) == (1, 2)
    assert (len(result.schedule.triggers), result.schedule.time_zone) == (0, "UTC")


@given(
    st.sampled_from(
        [
            "",
            "x",
            "owner",
            "state",
            "labels.a.b",
            "labels.",
            "`x",
            "description.*",
            "schedule.jitter.seconds",
            "run_policy.x",
            "schedule.triggers.cron",
        ]
    )
)
def test_unwritable_paths_are_violations(path: str) -> None:
    """Unknown, the server's, or inside of what is one value."""
    result, problems = changed(task(), path)
    assert [violation.field for violation in problems.violations] == ["update_mask"]
    assert result == STORED


@given(st.sets(st.sampled_from(WRITABLE)))
def test_fields_outside_the_mask_are_unchanged(paths: set[str]) -> None:
    """Whatever the changes say."""
    changes = task(display_name="x", description="y", labels={"q": "r"}, params={"n": 1}, run_policy={"priority": 9})
    result = apply(STORED, changes, sorted(paths))
    for name in WRITABLE:
        source = changes if name in paths else STORED
        assert getattr(result, name) == getattr(source, name)
