"""Rows of the queue are built by position: the columns of each statement are the fields of its dataclass, in order."""

from dataclasses import fields

import pytest

from ordinaut.store import due_work_claim, due_work_enqueue
from ordinaut.store.sql import Query
from tests.integration.queue_rig import Rig

CLAIM = due_work_claim.SQL


@pytest.mark.parametrize(
    ("query", "row"),
    [
        (CLAIM.claim, due_work_claim.ClaimedRun),
        (CLAIM.claim_quarantined, due_work_claim.ClaimedRun),
        (CLAIM.journal_of, due_work_claim.JournaledStep),
        (CLAIM.leased_rows, due_work_claim.LeasedRow),
        (CLAIM.depth, due_work_claim.QueueDepth),
        (CLAIM.queue_place, due_work_claim.QueuePlace),
        (due_work_enqueue.SQL.enqueue_manual, due_work_enqueue.Enqueued),
    ],
)
async def test_the_columns_of_a_statement_are_the_fields_of_its_row(query: Query, row: type, rig: Rig) -> None:
    async with rig.database.connection() as connection:
        statement = await connection.prepare(query.text)
        columns = [attribute.name for attribute in statement.get_attributes()]
    assert columns == [field.name for field in fields(row)]
