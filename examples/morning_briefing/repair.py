"""A task with the mistakes that models make, and the errors by which an agent repairs it."""

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
        ApiError: it is refused.
    """
    document = load(name)
    task = await stage.owner.tasks.CreateTask(ParseDict(create_request(document), CreateTaskRequest()))
    reporter.info(f"{task.name} waits for its event")
    return task


async def create_broken(stage: Stage, reporter: Reporter) -> Task:
    """Sends the broken briefing, applies what each answer says, and sends it again until it is accepted.

    Raises:
        BrokenPromiseError: the answers do not lead to the task that was meant.
    """
    reporter.section("An agent sends a task as a model wrote it from memory")
    request = create_request(load("broken"))
    for sent in range(1, MAX_ROUNDS + 1):
        try:
            task = await stage.owner.tasks.CreateTask(ParseDict(request, CreateTaskRequest()))
        except ApiError as refused:
            _show(reporter, refused)
            reporter.expect(
                bool(refused.fixes), f"{len(refused.fixes)} repairs come with the answer; the agent applies them"
            )
            request = refused.apply_fixes(request)
        else:
            reporter.expect(sent > 1, f"accepted as {task.name}, which will run at")
            reporter.detail("  ".join(coming.local_time for coming in task.upcoming))
            reporter.expect(request["task"] == load("briefing"), "it is the task that was meant")
            reporter.expect(len(task.upcoming) == 5, "the answer holds its next five times")
            return task
    raise CheckFailedError(f"the answers repair the task in {MAX_ROUNDS} rounds")


def _show(reporter: Reporter, refused: ApiError) -> None:
    reporter.info(f"refused: {refused.code}, {refused.reason}, {len(refused.violations)} problems at once")
    repairs = {fix.field: fix.explanation for fix in refused.fixes}
    for violation in refused.violations:
        reporter.detail(f"{violation.field}: {violation.message}")
        if violation.field in repairs:
            reporter.detail(f"    fix: {repairs[violation.field]}")
