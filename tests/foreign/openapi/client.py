"""Uses the client that openapi-python-client generated: lists, a watch, errors and 64-bit fields. Prints JSON."""

import json
import os
import sys

from generated.api.event import publish_event
from generated.api.run import get_run, watch_run
from generated.api.task import create_task, delete_task, get_task, list_tasks, pause_task, run_task, update_task
from generated.client import AuthenticatedClient
from generated.models import Event, Task, TaskPatch, TaskPipeline


def main(base_url: str) -> None:
    client = AuthenticatedClient(base_url=base_url, token=os.environ["ORDINAUT_TOKEN"])
    steps = [{"id": "greet", "uses": "orchestrator.set", "with": {"text": "hello"}}]
    task = Task(pipeline=TaskPipeline.from_dict({"steps": steps, "output": "${steps.greet.text}"}))
    names = [create_task.sync(client=client, body=task, task_id=f"generated-py-{n}").name for n in range(3)]
    pages, token = [], ""
    while True:
        page = list_tasks.sync(client=client, page_size=2, page_token=token, filter_="name : 'generated-py'")
        pages.append([found.name for found in page.tasks])
        if not (token := page.next_page_token or ""):
            break
    run = run_task.sync("generated-py-0", client=client)
    watched = [json.loads(line) for line in watch_run.sync(run.name.partition("/")[2], client=client).splitlines()]
    finished = get_run.sync(run.name.partition("/")[2], client=client)
    event = publish_event.sync(client=client, body=Event(topic="generated.python"))
    missing = get_task.sync("absent", client=client)
    refused = create_task.sync(client=client, body=Task(TaskPipeline(), display_name=" "), task_id="generated-py-x")
    changed = update_task.sync("generated-py-0", client=client, body=TaskPatch(description="new"))
    paused = pause_task.sync("generated-py-0", client=client)
    for name in names:
        delete_task.sync(name.partition("/")[2], client=client)
    print(
        json.dumps(
            {
                "pages": pages,
                "states": [line["run"]["state"] for line in watched],
                "output": finished.output,
                "version": paused.version,
                "paused": paused.state,
                "event": event.topic,
                "changed": changed.description,
                "missing": [missing.error.code, missing.error.status, missing.error.details[0].reason],
                "refused": [refused.error.code, sorted(v.field for v in refused.error.details[1].field_violations)],
            }
        )
    )


main(sys.argv[1])
