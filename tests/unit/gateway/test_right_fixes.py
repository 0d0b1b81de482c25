"""Which fixes of an answer are offered, and in which order; with checks that are functions of the document."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.api.fixes import right_fixes
from ordinaut.documents.patch import patched, rank
from ordinaut.errors import Repair, UnavailableError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

Rules = Callable[[Any], list[Violation]]


def problem(field: str, *operations: dict[str, Any], message: str = "wrong") -> Violation:
    repair = Repair("Repairs it.", operations) if operations else None
    return Violation(field, message, ErrorReason.INVALID_PIPELINE, repair)


def replacing(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def moving(old: str, new: str) -> dict[str, Any]:
    return {"op": "move", "from": old, "path": new}


async def offered(document: Any, rules: Rules) -> tuple[list[str], list[Violation]]:
    """The fields with a fix, and all violations."""

    async def check(changed: Any) -> Sequence[Violation]:
        return rules(changed)

    result = await right_fixes(rules(document), document, check)
    return [each.field for each in result if each.repair is not None], result


async def test_a_fix_that_leaves_its_violation_is_not_offered() -> None:
    def rules(document: Any) -> list[Violation]:
        return [] if document["a"] == 3 else [problem("a", replacing("/a", document["a"] + 1))]

    assert (await offered({"a": 2}, rules))[0] == ["a"]
    assert (await offered({"a": 1}, rules))[0] == []


async def test_a_fix_that_adds_a_violation_is_not_offered() -> None:
    def rules(document: Any) -> list[Violation]:
        return [problem("a", replacing("/a", "x"))] if document["a"] == 1 else [problem("b")]

    fields, violations = await offered({"a": 1}, rules)
    assert (fields, [each.field for each in violations]) == ([], ["a"])


async def test_a_fix_that_does_not_fit_or_changes_nothing_is_not_offered() -> None:
    for operation in (replacing("/b", 1), {"op": "remove", "path": "/b/c"}, replacing("/a", 1)):
        assert (await offered({"a": 1}, lambda _, this=operation: [problem("a", this)]))[0] == []  # type: ignore[misc]


async def test_of_two_fixes_that_exclude_each_other_one_is_offered() -> None:
    def rules(document: Any) -> list[Violation]:
        words = [("x", replacing("/a", document["a"].replace("x", "1"))), ("y", replacing("/a", "2"))]
        return [problem("a", operation, message=word) for word, operation in words if word in document["a"]]

    async def check(changed: Any) -> Sequence[Violation]:
        return rules(changed)

    document = {"a": "x y"}
    result = await right_fixes(rules(document), document, check)
    operations = [operation for each in result if each.repair for operation in each.repair.operations]
    assert rules(patched(document, operations)) != rules(document)


async def test_what_a_new_name_shows_is_in_the_same_answer() -> None:
    """With its place in the document that was sent, and a fix that comes before the renaming."""

    def rules(document: Any) -> list[Violation]:
        found = [problem("stepz", moving("/stepz", "/steps"))] if "stepz" in document else []
        steps = document.get("steps", [])
        return found + [
            problem(f"steps[{index}].id", replacing(f"/steps/{index}/id", step["id"].lower()))
            for index, step in enumerate(steps)
            if step["id"] != step["id"].lower()
        ]

    document = {"stepz": [{"id": "A"}, {"id": "b"}, {"id": "C"}]}
    fields, violations = await offered(document, rules)
    assert fields == ["stepz", "stepz[0].id", "stepz[2].id"]
    ordered = sorted((each.repair.operations for each in violations if each.repair), key=rank)
    assert [operations[0]["op"] for operations in ordered] == ["replace", "replace", "move"]
    assert rules(patched(document, [operation for operations in ordered for operation in operations])) == []


async def test_a_key_that_only_a_misspelled_one_makes_wrong_is_not_removed() -> None:
    def rules(document: Any) -> list[Violation]:
        found = [problem("untl", moving("/untl", "/until"))] if "untl" in document else []
        if "every" in document and "until" not in document:
            found.append(problem("every", {"op": "remove", "path": "/every"}))
        return found

    assert (await offered({"untl": "x", "every": "5s"}, rules))[0] == ["untl"]


async def test_two_new_names_that_need_each_other_are_one_fix() -> None:
    def rules(document: Any) -> list[Violation]:
        names = (("tool", "uses"), ("args", "with"))
        found = [problem(old, moving(f"/{old}", f"/{new}")) for old, new in names if old in document]
        return [*found, problem("with")] if "uses" in document and "with" not in document else found

    fields, violations = await offered({"tool": "a", "args": {}}, rules)
    assert fields == ["tool"]
    assert [len(each.repair.operations) for each in violations if each.repair] == [2]


async def test_fixes_that_cannot_be_checked_are_not_offered() -> None:
    async def check(_: Any) -> Sequence[Violation]:
        raise UnavailableError(ErrorReason.ENGINE_UNAVAILABLE, "none")

    [violation] = await right_fixes([problem("a", replacing("/a", 2))], {"a": 1}, check)
    assert violation.repair is None


async def test_several_unknown_fields_have_fixes() -> None:
    """Also if another problem is found in what one of them was read as."""

    def rules(document: Any) -> list[Violation]:
        names = {"jittter": "jitter", "triger": "triggers"}
        found = [
            Violation(old, "unknown", ErrorReason.UNKNOWN_FIELD, Repair("Renames it.", [moving(f"/{old}", f"/{new}")]))
            for old, new in names.items()
            if old in document
        ]
        wrong = document.get("jitter", document.get("jittter")) == "soon"
        return [*found, problem("jitter", replacing("/jitter", "30s"))] if wrong else found

    assert (await offered({"jittter": "1s", "triger": []}, rules))[0] == ["jittter", "triger"]
    fields, violations = await offered({"jittter": "soon", "triger": []}, rules)
    assert fields == ["jittter", "triger", "jitter"]
    assert [each.repair.operations[0]["path"] for each in violations if each.repair][-1] == "/jittter"
