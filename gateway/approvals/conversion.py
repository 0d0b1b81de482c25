"""Converts stored approvals to API messages."""

from gateway.api.json_values import fill_struct, fill_value, parse, timestamp
from ordinaut.sensitive import masked
from ordinaut.store.runs.approval import ApprovalRecord
from ordinaut.v1.approval_pb2 import Approval


def to_approval(record: ApprovalRecord) -> Approval:
    """Converts an approval."""
    message = Approval(
        name=f"approvals/{record.id}",
        run=f"runs/{record.run}",
        task=f"tasks/{record.task_name}" if record.task_name else "",
        step=record.step,
        owner=record.owner,
        message=masked(record.message),
        subject=Approval.Subject(tool=record.tool, hash=record.hash),
        choices=record.choices,
        editable=record.editable,
        assignees=record.assignees,
        allow_self=record.allow_self,
        state=Approval.State.Value(record.state),
        create_time=timestamp(record.create_time),
    )
    data = parse(record.data) if record.data is not None else None
    fill_value(message.subject.input, data)
    if record.data is not None and not record.tool:
        fill_value(message.data, data)
    if record.answer_schema is not None:
        fill_struct(message.answer_schema, parse(record.answer_schema))
    if record.expire_time is not None:
        message.expire_time.FromDatetime(record.expire_time)
    if record.end_time is not None:
        message.end_time.FromDatetime(record.end_time)
    if record.choice is not None:
        _fill_answer(message.answer, record)
    return message


def _fill_answer(message: Approval.Answer, record: ApprovalRecord) -> None:
    message.choice = record.choice or ""
    message.agent = record.agent or ""
    message.comment = record.comment
    if record.end_time is not None:
        message.time.FromDatetime(record.end_time)
    if record.input is not None:
        fill_value(message.input, parse(record.input))
    if record.edited_input is not None:
        fill_value(message.edited_input, parse(record.edited_input))
