"""EraseSubject: erases the data of one person in a project, in batches, each in a transaction of its own."""

import re
import time
from uuid import uuid4

from gateway.api.pagination import PageTokens, page_size
from gateway.api.rehearsal import refuse_change
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.event import NewEvent
from ordinaut.store.projects import erasure
from ordinaut.store.projects.erasure import KINDS, Kind, Searched, Subject
from ordinaut.v1.project_service_pb2 import EraseSubjectRequest, EraseSubjectResponse

WORK_SECONDS = 10.0
NAMES_MAX = 1000
SHORTEST, LONGEST = 3, 200
REFUSED = re.compile(r'["\\\x00-\x1f\x7f]')


class Erasure:
    """Implements EraseSubject."""

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens

    async def erase(self, request: EraseSubjectRequest, caller: Caller) -> EraseSubjectResponse:
        """Searches for ten seconds, from where the page token says, and erases what it finds unless it only validates.

        Raises:
            InvalidArgumentError: the identifier or the page token is invalid.
        """
        subject = _subject(request)
        size, start = page_size(request.page_size), self._page_tokens.start(request, caller)
        refuse_change()
        number, after = _position(start)
        response = EraseSubjectResponse()
        until = time.monotonic() + WORK_SECONDS
        while number < len(KINDS):
            kind = KINDS[number]
            batch = await self._batch(request, caller, kind, subject, after, size)
            if kind.erase is None:
                response.in_use.extend(name for name in dict.fromkeys(batch.names) if name not in response.in_use)
            elif batch.keys:
                response.erased[kind.name] += len(batch.keys)
            number, after = (number + 1, "") if batch.last is None else (number, batch.last)
            if time.monotonic() >= until or len(response.in_use) >= NAMES_MAX:
                break
        if number < len(KINDS):
            response.next_page_token = self._page_tokens.token(request, caller, f"{number} {after}")
        return response

    async def _batch(
        self, request: EraseSubjectRequest, caller: Caller, kind: Kind, subject: Subject, after: str, size: int
    ) -> Searched:
        """Searches a batch and erases what it has found, in one transaction with the event that says so."""
        project = caller.project
        async with self._database.transaction() as connection:
            batch = await erasure.search(connection, kind, project=project, subject=subject, after=after, size=size)
            if request.validate_only or kind.erase is None or not batch.keys:
                return batch
            await erasure.erase(connection, kind, project=project, subject=subject, keys=batch.keys)
            await event.announce(connection, project, [_announcement(caller, kind.name, len(batch.keys))])
            return batch


def _announcement(caller: Caller, kind: str, records: int) -> dict[str, object]:
    """The event of a batch. It does not contain the identifier, nor a hash, from which it could be guessed."""
    return NewEvent(
        uid=uuid4(),
        topic="ordinaut.project.subject_erased",
        source=f"projects/{caller.project}",
        subject=f"projects/{caller.project}",
        event_id="",
        data={"kind": kind, "records": records},
        publisher=caller.name,
        depth=0,
    ).document()


def _subject(request: EraseSubjectRequest) -> Subject:
    text = request.subject.strip()
    problems = Problems()
    if not SHORTEST <= len(text) <= LONGEST:
        problems.add("subject", f"must have {SHORTEST} to {LONGEST} characters (got {len(text)})")
    elif REFUSED.search(text):
        problems.add("subject", "must not contain quotes, backslashes or control characters")
    elif not (text[0].isalnum() or text[0] == "+") or not text[-1].isalnum():
        problems.add("subject", "must begin and end with a letter or a digit, or begin with +")
    problems.check()
    return Subject.of(text)


def _position(start: str) -> tuple[int, str]:
    """The number of the kind and the key in a page token.

    >>> _position("7 mail/last"), _position("")
    ((7, 'mail/last'), (0, ''))
    """
    number, _, after = start.partition(" ")
    return int(number or 0), after
