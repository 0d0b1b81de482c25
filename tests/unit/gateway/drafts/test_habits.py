"""Each habit: what is written, and the document that it means."""

import pytest

from gateway.drafts.draft import ASSUMED, CERTAIN
from tests.unit.gateway.drafts.drafting import drafted, task, yaml

W = "{id: w, uses: weather.forecast, with: {city: Berlin}}"
STEPS = f"pipeline: {{steps: [{W}]}}"
SCHEDULES = [
    ("schedule: every day at 9", "{triggers: [{cron: every day at 9}]}"),
    (
        "schedule: {cron: '0 9 * * 1-5', timezone: Europe/Rome}",
        "{triggers: [{cron: '0 9 * * 1-5'}], time_zone: Europe/Rome}",
    ),
    ("schedule: ['0 9 * * *', '@daily']", "{triggers: [{cron: '0 9 * * *'}, {cron: '@daily'}]}"),
    ("cron: '0 9 * * *'\ntz: Europe/Rome", "{triggers: [{cron: '0 9 * * *'}], time_zone: Europe/Rome}"),
    ("on: {schedule: [{cron: '0 9 * * *'}], workflow_dispatch: null}", "{triggers: [{cron: '0 9 * * *'}]}"),
    ("every: 5m", "{triggers: [{interval: 5m}]}"),
    ("schedule: {every: 5 minutes}", "{triggers: [{interval: 5m}]}"),
    ("schedule: {interval: {minutes: 5}}", "{triggers: [{interval: 5m}]}"),
    ("schedule: {every: 15, unit: minutes}", "{triggers: [{interval: 15m}]}"),
    ("schedule: {interval: 300}", "{triggers: [{interval: 300s}]}"),
    ("schedule: {daily: '09:30'}", "{triggers: [{cron: 30 9 * * *}]}"),
    ("schedule: {every: monday, at: '09:00'}", "{triggers: [{cron: 0 9 * * 1}]}"),
    ("schedule: {days: [mon, fri], at: '9:05'}", "{triggers: [{cron: '5 9 * * 1,5'}]}"),
    ("schedule: {weekly: {day: sunday, at: '08:00'}}", "{triggers: [{cron: 0 8 * * 0}]}"),
    ("schedule: {hour: 9, minute: 30}", "{triggers: [{cron: 30 9 * * *}]}"),
    ("trigger: {type: cron, expression: '0 9 * * *'}", "{triggers: [{cron: 0 9 * * *}]}"),
    (
        "trigger: {event: mail.received, filter: event.data.n > 5}",
        "{triggers: [{event: {topic: mail.received, when: data.n > 5}}]}",
    ),
    ("schedule: {at: '2030-01-01T09:00:00Z'}", "{triggers: [{once: '2030-01-01T09:00:00Z'}]}"),
    ("schedule: {rrule: {freq: daily, byhour: 9}}", "{triggers: [{rrule: FREQ=DAILY;BYHOUR=9}]}"),
    ("schedule: {cron: '@daily', catchup: false}", "{triggers: [{cron: '@daily'}], catch_up: {policy: NONE}}"),
    (
        "schedule: {cron: '@daily', holidays: ['2026-12-25']}",
        "{triggers: [{cron: '@daily'}], exclusions: [{date: '2026-12-25'}]}",
    ),
]
STEP = [
    ("{id: w, tool: weather.forecast, input: {city: Berlin}}", W),
    ("{id: w, uses: tools/weather.forecast@v2, args: {city: Berlin}}", W),
    ("{id: w, uses: {name: Weather.Forecast, params: {city: Berlin}}}", W),
    ("{id: w, type: weather.forecast, city: Berlin}", W),
    ("{id: w, uses: weather.forecast, with: [{name: city, value: Berlin}]}", W),
    ('{id: w, uses: weather.forecast, with: \'{"city": "Berlin"}\'}', W),
    ("{id: w, uses: weather.forecast, with: {city: [Berlin]}}", W),
    ("{id: w, uses: weather.forecast, with: {location: Berlin}}", W),
    ("{id: w, needs: [], runs-on: linux, uses: weather.forecast, with: {city: Berlin}}", W),
    ("{w: {uses: weather.forecast, with: {city: Berlin}}}", W),
    (
        "{id: Get-Weather, uses: weather.forecast, with: {city: Berlin}}",
        "{id: get_weather, uses: weather.forecast, with: {city: Berlin}}",
    ),
    ("{uses: weather.forecast, with: {city: Berlin}}", "{id: forecast, uses: weather.forecast, with: {city: Berlin}}"),
    ("{id: a, sleep: 30}", "{id: a, uses: orchestrator.wait, with: {for: 30s}}"),
    ("{id: a, uses: delay, with: {minutes: 10}}", "{id: a, uses: orchestrator.wait, with: {for: 10m}}"),
    ("{id: a, type: wait_until, time: '${now+24h}'}", "{id: a, uses: orchestrator.wait, with: {until: '${now+24h}'}}"),
    (
        "{id: a, uses: publish, with: {event: a.b, payload: {n: 1}}}",
        "{id: a, uses: orchestrator.emit, with: {topic: a.b, data: {n: 1}}}",
    ),
    (
        "{id: a, uses: state.set, with: {namespace: n, key: k, value: 1}}",
        "{id: a, uses: orchestrator.put_state, with: {namespace: n, key: k, value: 1}}",
    ),
    (
        "{id: a, uses: call, with: {workflow: report}}",
        "{id: a, uses: orchestrator.run_task, with: {task: tasks/report, wait: true}}",
    ),
    (
        "{id: a, type: human, prompt: Go?, approvers: boss, timeout: 1 day}",
        "{id: a, uses: orchestrator.request_approval, with: {message: Go?, assignees: [boss], expires_in: 1d}}",
    ),
    (
        "{id: a, type: raise, error: NONE, message: nothing}",
        "{id: a, uses: orchestrator.fail, with: {code: NONE, message: nothing}}",
    ),
    (f"{{id: a, switch: '${{params.x}}', cases: {{p: [{W}]}}}}", f"{{id: a, if: params.x == 'p', do: [{W}]}}"),
]
MODIFIERS = [
    ("when: params.x > 1", "if: params.x > 1"),
    ("unless: params.x > 1", "if: '!(params.x > 1)'"),
    ("if: {left: '{{ params.x }}', operator: larger, right: 20}", "if: params.x > 20"),
    ("if: [params.x > 1, params.x < 5]", "if: (params.x > 1) && (params.x < 5)"),
    ("timeout: 30 seconds", "timeout: 30s"),
    ("timeout: {minutes: 2}", "timeout: 2m"),
    ("timeout_ms: 5000", "timeout: 5s"),
    ("timeout-minutes: 5", "timeout: 5m"),
    ("retries: 3", "retry: 3"),
    ("max_attempts: 3", "retry: 2"),
    ("retry: {attempts: 3, delay: 10}", "retry: {max: 2, delay: 10s}"),
    ("retry: {limit: 3, backoff: exponential}", "retry: {max: 3, factor: 2}"),
    ("retry: 3 times", "retry: 3"),
    ("continue_on_error: true", "on_error: continue"),
    ("on_failure: ignore", "on_error: continue"),
    ("on_error: {action: continue}", "on_error: continue"),
    ("on_error: {retry: 3}", "retry: 3"),
    ("when: params.x between 1 and 5", "if: params.x >= 1 && params.x <= 5"),
    ("needs_approval: Pay?", "needs_approval: {message: Pay?}"),
    ("approval: {approvers: boss, timeout: 2 hours}", "needs_approval: {assignees: [boss], expires_in: 2h}"),
    ("for_each: params.list\n      concurrency: 2", "foreach: params.list\n      max_parallel: 2"),
    ("loop: {items: '{{ params.list }}', as: x}", "foreach: params.list"),
    ("repeat_until: steps.w.temp > 1\n      every: 10", "until: steps.w.temp > 1\n      every: 10s"),
    ("enabled: false", "if: 'false'"),
]
TASKS = [
    (f"name: a\nsteps: [{W}]", f"name: tasks/a\npipeline: {{steps: [{W}]}}"),
    (f"- {W}", f"pipeline: {{steps: [{W}]}}"),
    (f"pipeline: [{W}]", f"pipeline: {{steps: [{W}]}}"),
    (f"task: {{name: tasks/a, version: 1, steps: [{W}]}}", f"name: tasks/a\npipeline: {{steps: [{W}], version: 1}}"),
    (f"name: My Report 2\n{STEPS}", f"name: tasks/my-report-2\ndisplay_name: My Report 2\n{STEPS}"),
    (f"title: A\nnotes: b\n{STEPS}", f"display_name: A\ndescription: b\n{STEPS}"),
    (
        f"metadata: {{name: a, labels: {{Team: 1}}}}\nspec: {{steps: [{W}]}}",
        f"name: tasks/a\nlabels: {{team: '1'}}\npipeline: {{version: 1, steps: [{W}]}}",
    ),
    (f"tags: [shop, x=y]\n{STEPS}", f"labels: {{shop: 'true', x: y}}\n{STEPS}"),
    (
        f"inputs: {{x: {{type: int, default: 5}}}}\n{STEPS}",
        f"params: {{x: 5}}\nparams_schema: {{type: object, properties: {{x: {{type: integer}}}}}}\n{STEPS}",
    ),
    (
        f"priority: high\nretries: 2\noverlap: forbid\n{STEPS}",
        f"run_policy: {{priority: 2, retry: {{max: 2}}, overlap: {{policy: SKIP}}}}\n{STEPS}",
    ),
    ("steps: {w: {uses: weather.forecast, with: {city: Berlin}}}", STEPS),
    (f"steps: [{{id: p, parallel: [[{W}]]}}]", f"pipeline: {{steps: [{{id: p, branches: {{branch_1: [{W}]}}}}]}}"),
    (
        f"steps: [{W}]\nfinally: [{{id: m, uses: mail.send, with: {{to: a, text: b}}}}]",
        f"pipeline: {{steps: [{W}, {{id: m, uses: mail.send, with: {{to: a, text: b}}}}], "
        "on_error: [{id: m_2, uses: mail.send, with: {to: a, text: b}}]}",
    ),
]


@pytest.mark.parametrize(("written", "meant"), SCHEDULES)
def test_schedules(written: str, meant: str) -> None:
    assert task(drafted(f"{written}\n{STEPS}")) == {**yaml(STEPS), "schedule": yaml(meant)}


@pytest.mark.parametrize(("written", "meant"), STEP)
def test_steps(written: str, meant: str) -> None:
    assert task(drafted(f"pipeline: {{steps: [{written}]}}"))["pipeline"]["steps"] == [yaml(meant)]


@pytest.mark.parametrize(("written", "meant"), MODIFIERS)
def test_modifiers(written: str, meant: str) -> None:
    form = "pipeline:\n  steps:\n    - id: w\n      uses: weather.forecast\n      with: {{city: Berlin}}\n      {}\n"
    assert task(drafted(form.format(written))) == yaml(form.format(meant))


@pytest.mark.parametrize(("written", "meant"), TASKS)
def test_tasks(written: str, meant: str) -> None:
    assert task(drafted(written)) == yaml(meant)


def test_an_order_that_is_kept_is_certain_and_another_one_is_assumed() -> None:
    kept = drafted(f"steps: [{W}, {{id: m, needs: w, uses: mail.send, with: {{to: a, text: b}}}}]")
    moved = drafted(f"steps: [{{id: m, needs: w, uses: mail.send, with: {{to: a, text: b}}}}, {W}]")
    assert task(kept) == task(moved)
    assert {edit.certainty for edit in kept.edits} == {CERTAIN}
    assert {edit.certainty for edit in moved.edits} == {CERTAIN, ASSUMED}


def test_what_follows_an_approval_needs_it() -> None:
    """A run continues after every answer here; in other systems it ends."""
    text = "steps: [{id: ok, type: approval, message: Go?}, {id: m, uses: mail.send, with: {to: a, text: b}}]"
    assert task(drafted(text))["pipeline"]["steps"][1]["if"] == "steps.ok.status == 'approved'"
    own = text.replace("id: m,", "id: m, if: steps.ok.approved,")
    assert task(drafted(own))["pipeline"]["steps"][1]["if"] == "(steps.ok.status == 'approved')"


def test_a_tool_that_does_not_exist_is_a_question() -> None:
    text = "steps: [{id: a, uses: slack.post, with: {channel: x}}]"
    [ask] = drafted(text).asks
    assert (ask.id, [option.id for option in ask.options]) == ("tool:a", ["register", "remove"])
    assert task(drafted(text, **{"tool:a": "remove"}))["pipeline"]["steps"] == []


def test_a_request_of_http_offers_the_tool_to_register() -> None:
    [ask] = drafted("steps: [{id: a, type: http, method: GET, url: 'https://api.example.com/v1/rates'}]").asks
    assert ask.default == "register"
    assert any('"name": "tools/example.rates"' in option.label for option in ask.options)


def test_a_disabled_task_is_a_question() -> None:
    """A task is created active: leaving `enabled: false` out would widen its schedule."""
    text = f"schedule: {{cron: '@daily', enabled: false}}\n{STEPS}"
    [ask] = drafted(text).asks
    assert ask.id == "enabled"
    assert "schedule" not in task(drafted(text, enabled="manual"))
    assert task(drafted(text, enabled="active"))["schedule"] == {"triggers": [{"cron": "@daily"}]}


def test_two_values_of_one_key_are_a_question() -> None:
    text = f"name: a\nname: b\n{STEPS}"
    [ask] = drafted(text).asks
    assert (ask.id, ask.default) == ("duplicate:name", "last")
    assert task(drafted(text, **{"duplicate:name": "first"}))["name"] == "tasks/a"
    assert drafted(f"name: a\nname: a\n{STEPS}").asks == []


def test_a_step_reads_the_last_one_of_its_name_before_it() -> None:
    """Only where two of them are before the reader, the caller decides."""
    mail = "{id: w, uses: mail.send, with: {to: a, text: '${steps.w.temp}'}}"
    steps = task(drafted(f"steps: [{W}, {mail}]"))["pipeline"]["steps"]
    assert [step["id"] for step in steps] == ["w", "w_2"]
    assert steps[1]["with"]["text"] == "${steps.w.temp}"
    [ask] = drafted(f"steps: [{W}, {W}, {mail}]").asks
    assert (ask.id, [option.id for option in ask.options]) == ("step:w", ["w", "w_2"])


def test_a_missing_input_and_an_unknown_one_are_questions() -> None:
    [ask] = drafted("steps: [{id: w, uses: weather.forecast}]").asks
    assert (ask.id, ask.default) == ("input:w.city", "param")
    answered = drafted("steps: [{id: w, uses: weather.forecast}]", **{"input:w.city": "param"})
    assert task(answered)["pipeline"]["steps"][0]["with"] == {"city": "${params.city}"}
    text = "steps: [{id: s, uses: web.find, with: {query: x, lang: en}}]"
    [ask] = drafted(text).asks
    assert [option.id for option in ask.options] == ["remove", "keep"]
    assert task(drafted(text, **{ask.id: "remove"}))["pipeline"]["steps"][0]["with"] == {"query": "x"}


def test_a_number_compared_with_a_text_is_a_question() -> None:
    text = f"steps: [{W}, {{id: m, if: \"steps.w.temp > '20'\", uses: mail.send, with: {{to: a, text: b}}}}]"
    [ask] = drafted(text).asks
    conditions = {
        option.id: task(drafted(text, **{ask.id: option.id}))["pipeline"]["steps"][1]["if"] for option in ask.options
    }
    assert conditions == {"number": "steps.w.temp > 20", "text": "to_string(steps.w.temp) > '20'"}


def test_an_undeclared_name_is_a_question() -> None:
    text = "steps: [{id: w, uses: weather.forecast, with: {city: '{{ inputs.city }}'}}]"
    [ask] = drafted(text).asks
    cities = {
        option.id: task(drafted(text, **{ask.id: option.id}))["pipeline"]["steps"][0]["with"]["city"]
        for option in ask.options
    }
    assert cities == {"param": "${params.city}", "event": "${event.data.city}"}
    assert drafted(f"params: {{city: Berlin}}\n{text}").asks == []
