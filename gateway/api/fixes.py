"""Offers only the fixes that are right for the document that was sent.

A part of the system that offers a fix sees its part only: the engine that replaces the name of a tool has not read the
input schema of the other tool, and the caller may have sent another spelling. Therefore the whole call is validated
again with each fix applied to the document. A fix is kept if its violation is gone and no violation is new, also
together with the other fixes. The violations of all others stay in the answer, without a fix.

A renamed key is an exception: what is below an unknown key could not be checked before. What becomes visible is added
to the answer, with its place in the document that was sent. Fixes below a renamed key come before the renaming
(`ordinaut.documents.patch.rank`).
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ordinaut.documents.patch import PatchError, patched, rank, renames, with_prefix
from ordinaut.documents.pointers import path_of, pointer, steps_of, words_of
from ordinaut.errors import OrdinautError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason

MAX_FIXES = 32  # more do not fit into the details of a status
MAX_CHECKS = 80
MAX_SECONDS = 2.0
MAX_PASSES = 3
POINTERS = ("path", "from")
Check = Callable[[Any], Awaitable[Sequence[Violation]]]
Move = tuple[str, str]
Key = tuple[str, int]


async def right_fixes(violations: Sequence[Violation], document: Any, check: Check) -> list[Violation]:
    """Returns the violations of a document with the fixes that are right, and what only a renaming makes visible.

    `check` returns the violations of another document of the same kind. The pointers of fixes begin at its root.
    """
    answer = _Answer(document, _Bounded(check), _at_misspelled(violations))
    with suppress(_ExhaustedError, OrdinautError, TimeoutError):  # fixes that cannot be checked are not offered
        await answer.settle()
    return answer.result()


class _ExhaustedError(Exception):
    """The checks of one answer have used up their bounds."""


class _Bounded:
    """A check that may be called a bounded number of times, in a bounded time."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._left = MAX_CHECKS
        self._end = time.monotonic() + MAX_SECONDS

    async def __call__(self, document: Any) -> Sequence[Violation]:
        self._left -= 1
        if self._left < 0 or time.monotonic() > self._end:
            raise _ExhaustedError
        return await self._check(document)


@dataclass(slots=True)
class _Answer:
    """The violations to report, and those of them with accepted fixes, whose pointers begin at the sent document."""

    document: Any
    check: _Bounded
    violations: list[Violation]
    accepted: list[Violation] = field(default_factory=list)

    async def settle(self) -> None:
        """Accepts renamed keys until nothing more becomes visible, then the other fixes of what is still wrong.

        A key that only the misspelled name of another one makes wrong needs no fix of its own.
        """
        earlier = _counted(self.violations)
        alone = [each for each in _distinct(self.violations) if await self._are_right([each], earlier)]
        renaming, others = _parted(alone)
        remaining = earlier
        for _ in range(MAX_PASSES):
            if not renaming:
                break
            await self._accept(renaming, remaining)
            after = await self._after(self.accepted)
            revealed = _beyond(after, self.violations)
            self.violations += revealed
            remaining = _counted(after)
            renaming, more = _parted(_distinct(revealed))
            others += more
        await self._accept([each for each in others if remaining[_key(each)]], remaining)
        await self._join_renamed()

    async def _join_renamed(self) -> None:
        """Joins the renaming of several keys if one of them alone makes the document wrong elsewhere.

        At first those of the same object are joined, then all.
        """
        for each in [each for each in self.accepted if _moves(each)]:
            if each not in self.accepted or not _beyond(await self._after([each]), self.violations):
                continue
            renaming = [fix for fix in self.accepted if _moves(fix)]
            siblings = [fix for fix in renaming if _parent(fix) == _parent(each)]
            for together in (siblings, renaming):
                if len(together) > 1 and not _beyond(await self._after(together), self.violations):
                    self._join(together)
                    break

    def _join(self, together: Sequence[Violation]) -> None:
        joined = replace(together[0], repair=_joined(together))
        self.violations = [joined if fix is together[0] else fix for fix in self.violations]
        self.accepted = [fix for fix in self.accepted if fix not in together] + [joined]

    def result(self) -> list[Violation]:
        """The violations in order; the repairs that were not accepted are removed."""
        fixed = {id(each) for each in self.accepted}
        return [each if id(each) in fixed else replace(each, repair=None) for each in self.violations]

    async def _accept(self, candidates: Sequence[Violation], expected: Counter[Key]) -> None:
        """Accepts all candidates if they work together; otherwise each one that works with those before it."""
        works_alone = not self.accepted and len(candidates) == 1
        if works_alone or (candidates and await self._are_right([*self.accepted, *candidates], expected)):
            self.accepted += candidates
            return
        for each in candidates:
            if await self._are_right([*self.accepted, each], expected):
                self.accepted.append(each)

    async def _are_right(self, fixed: Sequence[Violation], expected: Counter[Key]) -> bool:
        """Whether the fixes remove their violations, and leave only expected ones, or such that a new name shows."""
        try:
            after = await self._after(fixed)
        except PatchError:
            return False
        remaining = {(each.field, each.message) for each in after}
        if any((each.field, each.message) in remaining for each in fixed):
            return False
        reveals = any(_moves(each) for each in fixed if each not in self.accepted)
        return reveals or not _counted(after) - (expected - _counted(each for each in fixed if not _moves(each)))

    async def _after(self, fixed: Sequence[Violation]) -> list[Violation]:
        """The violations after fixes, with their places in the document that was sent.

        Raises:
            PatchError: a fix does not fit the document, or changes nothing.
        """
        changed = patched(self.document, _operations(fixed))
        if changed == self.document:
            raise PatchError("the fixes change nothing")
        return _in_sent_document(await self.check(changed), fixed)


def _parted(violations: Sequence[Violation]) -> tuple[list[Violation], list[Violation]]:
    """Parts the violations with fixes that rename keys from the others."""
    return [each for each in violations if _moves(each)], [each for each in violations if not _moves(each)]


def _beyond(after: Sequence[Violation], earlier: Sequence[Violation]) -> list[Violation]:
    """The violations that are not among the known ones."""
    left, new = _counted(earlier), []
    for each in after:
        left[_key(each)] -= 1
        if left[_key(each)] < 0:
            new.append(each)
    return new


def _key(violation: Violation) -> Key:
    """Identifies a violation in two documents: its message may repeat values that a fix elsewhere has changed."""
    return violation.field, int(violation.reason)


def _counted(violations: Iterable[Violation]) -> Counter[Key]:
    return Counter(map(_key, violations))


def _distinct(violations: Iterable[Violation]) -> list[Violation]:
    """The violations with a fix, at most 32; of those with the same fix only the first."""
    chosen: list[Violation] = []
    for each in violations:
        if each.repair is not None and not any(_operations([each]) == _operations([fix]) for fix in chosen):
            chosen.append(each)
    return chosen[:MAX_FIXES]


def _operations(fixed: Sequence[Violation]) -> list[Any]:
    """All operations in the order in which they are to be applied."""
    lists = sorted((each.repair.operations for each in fixed if each.repair is not None), key=rank)
    return [operation for operations in lists for operation in operations]


def _moves(violation: Violation) -> list[Move]:
    return renames(violation.repair.operations) if violation.repair is not None else []


def _parent(violation: Violation) -> str:
    """The object in which a fix renames keys; empty for other fixes."""
    moves = _moves(violation)
    return f"{moves[0][0].rpartition('/')[0]}/" if moves else ""


def _joined(together: Sequence[Violation]) -> Repair:
    repairs = [each.repair for each in together if each.repair is not None]
    return Repair(" ".join(repair.explanation for repair in repairs), _operations(together))


def _in_sent_document(violations: Iterable[Violation], fixed: Sequence[Violation]) -> list[Violation]:
    """Converts the places of violations in a document with renamed keys to those in the document that was sent.

    The paths of an unknown field and of what is read from it differ already in the sent document.
    """
    steps = [(each, move) for each in fixed for move in _moves(each)]
    steps.sort(key=lambda step: step[1][0].count("/"))
    moved = list(violations)
    for source, (old, new) in steps:
        of_field = source.reason == ErrorReason.UNKNOWN_FIELD
        moved = [_moved(each, new, old, with_path=not of_field) for each in moved]
    return moved


def _at_misspelled(violations: Sequence[Violation]) -> list[Violation]:
    """Places the fixes of what was read from a misspelled field at the field that was sent."""
    placed = list(violations)
    for number, source in enumerate(violations):
        for old, new in _moves(source) if source.reason == ErrorReason.UNKNOWN_FIELD else ():
            placed = [
                each if index == number else _moved(each, new, old, with_path=False)
                for index, each in enumerate(placed)
            ]
    return placed


def _moved(violation: Violation, old: str, new: str, *, with_path: bool) -> Violation:
    path = violation.field
    if with_path:
        where = pointer(steps_of(path))
        if with_prefix(where, old, new) != where:
            path = path_of((*_steps(new), *steps_of(path)[old.count("/") :]))
    repair = violation.repair
    if repair is not None:
        operations = [
            {key: with_prefix(str(value), old, new) if key in POINTERS else value for key, value in each.items()}
            for each in repair.operations
        ]
        repair = Repair(repair.explanation, operations)
    return replace(violation, field=path, repair=repair)


def _steps(place: str) -> list[str | int]:
    return [int(word) if word.isdecimal() else word for word in words_of(place)]
