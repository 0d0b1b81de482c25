"""Converts stored backfills to API messages."""

from gateway.api.json_values import fill_struct, parse, timestamp
from ordinaut.store.tasks.backfill import BackfillRecord
from ordinaut.v1.backfill_pb2 import Backfill


def to_backfill(record: BackfillRecord) -> Backfill:
    """Converts a backfill."""
    message = Backfill(
        name=f"tasks/{record.task_name}/backfills/{record.name}",
        after_time=timestamp(record.after_time),
        until_time=timestamp(record.until_time),
        order=Backfill.NEWEST_FIRST if record.newest_first else Backfill.OLDEST_FIRST,
        reprocess=Backfill.Reprocess.Value(record.reprocess),
        parallelism=record.parallelism,
        priority=record.priority,
        state=Backfill.State.Value(record.state),
        state_reason=record.state_reason,
        task_version=record.task_version,
        total=record.total,
        enqueued=record.enqueued,
        skipped=record.skipped,
        succeeded=record.succeeded,
        failed=record.failed,
        cancelled=record.cancelled,
        create_time=timestamp(record.create_time),
        end_time=timestamp(record.end_time) if record.end_time else None,
    )
    fill_struct(message.params, parse(record.params))
    return message
