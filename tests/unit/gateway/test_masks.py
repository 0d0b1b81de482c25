"""Field masks change what they name and nothing else."""

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.field_masks import apply, masked_paths, writable_fields
from gateway.api.violations import Problems
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
    """Never merged: an old entry would stay for ever."""
    changes = task(labels={"b": "2"}, params={"z": 1}, schedule={"triggers": [{"cron": "1 * * * *"}]})
    result, _ = changed(changes, "labels", "params", "schedule")
    assert result.labels == {"b": "2"}
    assert list(result.params.fields) == ["z"]
    assert (len(result.schedule.triggers), result.schedule.time_zone) == (1, "")


def test_paths_may_be_nested() -> None:
    """Its neighbours stay."""
    result, _ = changed(task(run_policy={"priority": 1, "max_losses": 9}), "run_policy.priority", "schedule.triggers")
    assert (result.run_policy.priority, result.run_policy.max_losses) == (1, 2)
    assert (len(result.schedule.triggers), result.schedule.time_zone) == (0, "UTC")


@given(st.sampled_from(["", "x", "owner", "state", "params.x", "labels.a", "run_policy.x", "schedule.triggers.cron"]))
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
