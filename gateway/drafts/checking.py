"""Checks drafts with the code of CreateTask, applies its certain fixes and the answers, until nothing changes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from gateway.definitions.validation import Finding, TaskValidator
from gateway.drafts.answers import Answers
from gateway.drafts.draft import ASSUMED, CERTAIN, Ask, Draft, Option
from gateway.drafts.patch import apply_patch
from gateway.drafts.response import Drafted, operations
from gateway.drafts.tree import plain, pointers
from gateway.drafts.zones import TIME_ZONE, setting, zone_question
from ordinaut.documents.reading import fill
from ordinaut.errors import Violation
from ordinaut.v1.draft_pb2 import Certainty, Question
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task

ROUNDS_MAX = 8  # of checking and repairing; a document needs two as a rule
# What the value of a reference or a name was, is guessed from its spelling.
GUESSED = frozenset({ErrorReason.UNRESOLVED_REFERENCE, ErrorReason.RESOURCE_NOT_FOUND, ErrorReason.DUPLICATE_STEP})


@dataclass(frozen=True, slots=True)
class Settler:
    """Checks drafts on behalf of a caller."""

    validator: TaskValidator
    project: str
    owner: str
    rights: frozenset[str]

    async def settle(self, draft: Draft, answers: Answers, prefix: str) -> Drafted:
        """Repairs a draft until it is valid or needs an answer; `prefix` distinguishes the questions of its task.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE or ENGINE_UNAVAILABLE.
        """
        task, findings = await self._check(draft)
        for _ in range(ROUNDS_MAX):
            improved = [_improve(draft, finding, answers, prefix) for finding in findings]  # all of them in one round
            if not any(improved):
                break
            task, findings = await self._check(draft)
        rest = [finding for finding in findings if not _asked(draft, finding, answers, prefix)]
        problems = [each.violation for each in rest if not each.is_warning and not _is_answerable(each, draft)]
        return Drafted(draft, task, problems)

    async def _check(self, draft: Draft) -> tuple[Task, list[Finding]]:
        task, violations = await asyncio.to_thread(_message, draft)
        unread = [Finding(violation) for violation in violations]
        found = await self.validator.findings(task, project=self.project, owner=self.owner, rights=self.rights)
        fields = {finding.violation.field for finding in unread}
        return task, [*unread, *(finding for finding in found if finding.violation.field not in fields)]


def _message(draft: Draft) -> tuple[Task, list[Violation]]:
    """The task of a draft, and what of it cannot be read."""
    task = Task()
    violations = fill(plain(draft.root), task)
    return task, violations


def _improve(draft: Draft, finding: Finding, answers: Answers, prefix: str) -> bool:
    """Applies the fix of a finding, or the answer to its question; whether the draft has changed."""
    for ask in _asks(finding, answers, prefix):
        if (option := answers.option(ask)) is not None and apply_patch(draft, option.patch, _answered(option)):
            return True
        if ask.id == prefix + TIME_ZONE and answers.time_zone and not finding.questions:
            return apply_patch(draft, [setting(answers.time_zone)], "Uses the time zone of the caller.", ASSUMED)
    repair = finding.violation.repair
    if repair is None or finding.questions:
        return False
    if finding.is_warning:
        return "schema" in finding.violation.message and apply_patch(
            draft, repair.operations, repair.explanation, ASSUMED
        )
    return apply_patch(draft, repair.operations, repair.explanation, _certainty(finding.violation))


def _asked(draft: Draft, finding: Finding, answers: Answers, prefix: str) -> bool:
    """Adds the questions of a finding to the draft; whether there are any."""
    asks = _asks(finding, answers, prefix)
    for ask in asks:
        draft.ask(ask)
    return bool(asks)


def _answered(option: Option) -> str:
    return f"As answered: {option.label}."


def _certainty(violation: Violation) -> Certainty.ValueType:
    repair = violation.repair
    removes = repair is not None and any(operation["op"] == "remove" for operation in repair.operations)
    adds = violation.reason == ErrorReason.FIELD_REQUIRED
    return ASSUMED if violation.reason in GUESSED or removes or adds else CERTAIN


def _asks(finding: Finding, answers: Answers, prefix: str) -> Sequence[Ask]:
    if finding.questions:
        return [_ask(question, prefix) for question in finding.questions]
    if finding.violation.reason == ErrorReason.TIMEZONE_REQUIRED and finding.violation.repair is None:
        return [zone_question(prefix, answers.time_zone)]
    return []


def _ask(question: Question, prefix: str) -> Ask:
    options = [
        Option(choice.id, choice.label, patch=[_operation(operation) for operation in choice.patch])
        for choice in question.choices
    ]
    return Ask(prefix + question.id, question.text, options, question.default_choice)


def _operation(operation: Any) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json_format.MessageToDict(operation)
    return document


def _is_answerable(finding: Finding, draft: Draft) -> bool:
    """Whether an answer to an open question replaces the value that this finding is about."""
    pointer = "/" + finding.violation.field.replace("[", "/").replace("]", "").replace(".", "/")
    where = pointers(draft.root)
    paths = [
        str(operation["path"])
        for ask in draft.asks
        for option in ask.options
        for operation in [*option.patch, *operations(option, where)]
    ]
    return any(pointer == path or pointer.startswith(f"{path}/") for path in paths)
