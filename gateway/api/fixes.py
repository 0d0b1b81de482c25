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
        """Accepts fixes until nothing more becomes visible."""
        candidates = [each for each in _distinct(self.violations) if await self._is_right_alone(each)]
        for _ in range(MAX_PASSES):
            await self._accept(candidates)
            revealed = await self._revealed()
            self.violations += revealed
            candidates = _distinct(revealed)
            if not candidates:
                return

    def result(self) -> list[Violation]:
        """The violations in order; the repairs that were not accepted are removed."""
        fixed = {id(each) for each in self.accepted}
        return [each if id(each) in fixed else replace(each, repair=None) for each in self.violations]

    async def _is_right_alone(self, violation: Violation) -> bool:
        return await self._are_right([violation])

    async def _accept(self, candidates: Sequence[Violation]) -> None:
        """Accepts all candidates if they work together; otherwise each one that works with those before it."""
        if not candidates or (len(candidates) > 1 and await self._are_right([*self.accepted, *candidates])):
            self.accepted += candidates
            return
        for each in sorted(candidates, key=lambda each: rank(_operations([each]))):
            if await self._are_right([*self.accepted, each]):
                self.accepted.append(each)

    async def _are_right(self, fixed: Sequence[Violation]) -> bool:
        """Whether the fixes of these violations remove them without a new violation, except by renaming."""
        try:
            changed = patched(self.document, _operations(fixed))
        except PatchError:
            return False
        if changed == self.document:
            return False
        after = _in_sent_document(await self.check(changed), fixed)
        remaining = {(each.field, each.message) for each in after}
        if any((each.field, each.message) in remaining for each in fixed):
            return False
        counted, expected = _counted(after), _counted(self.violations) - _counted(fixed)
        reveals = any(_moves(each) for each in fixed if each not in self.accepted)
        return reveals or not counted - expected

    async def _revealed(self) -> list[Violation]:
        if not any(_moves(each) for each in self.accepted):
            return []
        after = await self.check(patched(self.document, _operations(self.accepted)))
        known = _counted(self.violations)
        known.subtract(_counted(self.accepted))
        revealed = []
        for each in _in_sent_document(after, self.accepted):
            known[_key(each)] -= 1
            if known[_key(each)] < 0:
                revealed.append(each)
        return revealed


def _key(violation: Violation) -> tuple[str, int]:
    """Identifies a violation in two documents: its message may repeat values that a fix elsewhere has changed."""
    return violation.field, int(violation.reason)


def _counted(violations: Iterable[Violation]) -> Counter[tuple[str, int]]:
    return Counter(map(_key, violations))


def _distinct(violations: Iterable[Violation]) -> list[Violation]:
    """The violations with a fix, at most 32; of those with the same fix only the first."""
    chosen: list[Violation] = []
    for each in violations:
        if each.repair is not None and not any(_operations([each]) == _operations([other]) for other in chosen):
            chosen.append(each)
    return chosen[:MAX_FIXES]


def _operations(fixed: Sequence[Violation]) -> list[Any]:
    """All operations in the order in which they are to be applied."""
    lists = sorted((each.repair.operations for each in fixed if each.repair is not None), key=rank)
    return [operation for operations in lists for operation in operations]


def _moves(violation: Violation) -> list[Move]:
    return renames(violation.repair.operations) if violation.repair is not None else []


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
    for source in violations:
        for old, new in _moves(source) if source.reason == ErrorReason.UNKNOWN_FIELD else ():
            placed = [each if each is source else _moved(each, new, old, with_path=False) for each in placed]
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
