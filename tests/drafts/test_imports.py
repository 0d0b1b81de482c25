"""Files of other systems, as they are published: what they mean, what is asked, and what is lost."""

from pathlib import Path

import pytest

from gateway.drafts.dialects.texts import is_crontab
from ordinaut.v1.task_service_pb2 import DraftTaskResponse
from tests.drafts.in_process import Drafting

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
FILES = sorted(path for path in SAMPLES.glob("*/*") if path.is_file())
PYTHON_BEAT = """
from celery.schedules import crontab
from datetime import timedelta

app.conf.beat_schedule = {
    "hot-check": {"task": "weather.forecast", "schedule": crontab(minute=0, hour="*/3"), "kwargs": {"city": "Cluj"}},
    "ping": {"task": "chat.post", "schedule": timedelta(minutes=5), "kwargs": {"channel": "ops", "text": "alive"}},
}
app.conf.timezone = "Europe/Bucharest"
"""
PYTHON_DAG = """
from datetime import timedelta
from airflow import DAG
from airflow.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sensors.time_delta import TimeDeltaSensor

with DAG("nightly", schedule="0 2 * * *", catchup=False, dagrun_timeout=timedelta(hours=1)) as dag:
    pause = TimeDeltaSensor(task_id="pause", delta=timedelta(minutes=10))
    start = TriggerDagRunOperator(task_id="start", trigger_dag_id="cleanup", conf={"all": True})
    pause >> start
"""


def imported(text: str, source: str = "", **more: str) -> DraftTaskResponse:
    return Drafting().drafted(text, format=source, **more)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "recognised"])
def test_every_published_file_is_understood(path: Path, *, is_named: bool) -> None:
    """As tasks with steps, of which every part is carried over, asked about or named as lost."""
    response = imported(path.read_text(), path.parent.name if is_named else "", time_zone="Europe/Bucharest")
    assert response.tasks
    for task in response.tasks:
        assert task.name.startswith("tasks/")
        assert task.pipeline.fields["steps"].list_value.values
    assert not [problem for problem in response.problems if "unknown" in problem.message], response.problems
    assert response.questions or response.complete


def test_a_crontab_keeps_its_times_and_names_its_commands() -> None:
    text = (
        "CRON_TZ=Europe/Bucharest\nMAILTO=ops\n# Every night\n"
        "30 2 * * * root /usr/local/bin/backup.sh --all\n@daily /opt/report\n"
    )
    response = imported(text)
    assert [task.name for task in response.tasks] == ["tasks/backup", "tasks/report"]
    assert [task.schedule.triggers[0].cron for task in response.tasks] == ["30 2 * * *", "@daily"]
    assert {task.schedule.time_zone for task in response.tasks} == {"Europe/Bucharest"}
    assert response.tasks[0].description == "Every night"
    assert "/usr/local/bin/backup.sh --all" in response.dropped[0].why
    assert response.dropped[0].source.line == 4


@pytest.mark.parametrize("text", ["name: tasks/x\nsteps: []", "* a list\n* of things", "5 4 is no schedule"])
def test_other_texts_are_no_crontabs(text: str) -> None:
    assert not is_crontab(text)


def test_a_timer_is_a_schedule_with_catch_up() -> None:
    text = (
        "[Unit]\nDescription=Nightly backup\n[Timer]\nOnCalendar=*-*-* 03:00:00\nPersistent=true\n"
        "RandomizedDelaySec=10m\nAccuracySec=1min\nUnit=backup.service\n"
    )
    response = imported(text, time_zone="Europe/Bucharest")
    [task] = response.tasks
    assert (task.name, task.description) == ("tasks/backup", "Nightly backup")
    assert task.schedule.triggers[0].cron == "0 3 * * *"
    assert task.schedule.jitter.seconds == 600
    assert any("AccuracySec" in loss.why for loss in response.dropped)


def test_a_python_module_of_celery_is_read_not_executed() -> None:
    response = imported(PYTHON_BEAT)
    assert response.complete, (response.questions, response.problems)
    hot, ping = response.tasks
    assert (hot.name, hot.schedule.triggers[0].cron, hot.schedule.time_zone) == (
        "tasks/hot-check", "0 */3 * * *", "Europe/Bucharest",
    )  # fmt: skip
    assert ping.schedule.triggers[0].interval.seconds == 300


def test_a_python_module_of_airflow_is_read_not_executed() -> None:
    response = imported(PYTHON_DAG)
    [task] = response.tasks
    assert (task.name, task.schedule.triggers[0].cron, task.schedule.time_zone) == ("tasks/nightly", "0 2 * * *", "UTC")
    assert task.run_policy.run_timeout.seconds == 3600
    steps = task.pipeline.fields["steps"].list_value.values
    assert [step.struct_value.fields["uses"].string_value for step in steps] == [
        "orchestrator.wait", "orchestrator.run_task",
    ]  # fmt: skip
