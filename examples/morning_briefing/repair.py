"""Repairs a task with typical mistakes of language models, by the fixes in the error responses."""

from google.protobuf.json_format import ParseDict

from examples.morning_briefing.reporter import CheckFailedError, Reporter
from examples.morning_briefing.stage import Stage
from examples.morning_briefing.tasks import create_request, load
from ordinaut.client import ApiError
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest

MAX_ROUNDS = 4


async def create(stage: Stage, reporter: Reporter, name: str) -> Task:
    """Creates the task of `<name>.yaml`.

    Raises:
        ApiError: the gateway rejects it.
    """
    document = load(name)
    task = await stage.owner.tasks.CreateTask(ParseDict(create_request(document), CreateTaskRequest()))
    reporter.info(f"{task.name} waits for its event")
    return task


async def create_broken(stage: Stage, reporter: Reporter) -> Task:
    """Sends the broken briefing, applies the fixes of each error, and sends it again until it is accepted.

    Raises:
        CheckFailedError: the fixes do not lead to the intended task.
    """
    reporter.section("An agent sends a task with mistakes")
    request = create_request(load("broken"))
    for sent in range(1, MAX_ROUNDS + 1):
        try:
            task = await stage.owner.tasks.CreateTask(ParseDict(request, CreateTaskRequest()))
        except ApiError as rejection:
            _show(reporter, rejection)
            reporter.expect(
                bool(rejection.fixes), f"{len(rejection.fixes)} fixes are in the response; the agent applies them"
            )
            request = rejection.apply_fixes(request)
        else:
            reporter.expect(sent > 1, f"accepted as {task.name}, which runs at")
            reporter.detail("  ".join(upcoming.local_time for upcoming in task.upcoming))
            reporter.expect(request["task"] == load("briefing"), "it is the intended task")
            reporter.expect(len(task.upcoming) == 5, "the response contains its next five times")
            return task
    raise CheckFailedError(f"the task is valid after {MAX_ROUNDS} rounds of fixes")


def _show(reporter: Reporter, rejection: ApiError) -> None:
    reporter.info(f"rejected: {rejection.code}, {rejection.reason}, {len(rejection.violations)} problems")
    repairs = {fix.field: fix.explanation for fix in rejection.fixes}
    for violation in rejection.violations:
        reporter.detail(f"{violation.field}: {violation.message}")
        if violation.field in repairs:
            reporter.detail(f"    fix: {repairs[violation.field]}")
