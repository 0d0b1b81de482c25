"""Typical invalid documents of models and people, and valid ones."""

from typing import Any

from tests.unit.engine.pipelines import pipeline, step

LIST = "calendar.list_events"
SET = "orchestrator.set"
ASK = "orchestrator.request_approval"
AGENDA = step("agenda", LIST, input={"start": "${now}"})
WEATHER = step("w", "weather.forecast", input={"city": "Berlin"})


def after_agenda(**modifiers: Any) -> dict[str, Any]:
    """Returns a pipeline whose second step may be invalid."""
    return pipeline(AGENDA, step("b", **modifiers))


def guarded(asked: Any) -> dict[str, Any]:
    """Returns a step with `needs_approval`."""
    return step("b", LIST, input={"start": "${now}"}, needs_approval=asked)


def loop(**keys: Any) -> dict[str, Any]:
    """Returns a pipeline with a block that may be invalid; `condition` is the key `if`."""
    return pipeline(
        AGENDA, {"id": "loop", **{"if" if key == "condition" else key: value for key, value in keys.items()}}
    )


KEYS: dict[str, Any] = {
    "use_for_uses": pipeline({"id": "a", "use": LIST, "with": {"start": "${now}"}}),
    "tool_for_uses": pipeline({"id": "a", "tool": LIST, "args": {"start": "${now}"}}),
    "action_for_uses": pipeline({"id": "a", "action": SET, "input": {"x": 1}}),
    "call_for_uses": pipeline({"id": "a", "call": SET, "inputs": {"x": 1}}),
    "capital_uses": pipeline({"id": "a", "Uses": SET}),
    "parameters_for_with": pipeline({"id": "a", "uses": SET, "parameters": {"x": 1}}),
    "when_for_if": pipeline(AGENDA, {"id": "b", "uses": SET, "when": "length(steps.agenda.events) > 0"}),
    "condition_for_if": pipeline(AGENDA, {"id": "b", "uses": SET, "only_if": "steps.agenda.ok"}),
    "retries_for_retry": pipeline(step("a", retries=3)),
    "attempts_for_retry": pipeline(step("a", attempts=3)),
    "misspelt_save_as": pipeline(step("a", save_ass="x")),
    "register_for_save_as": pipeline(step("a", register="x")),
    "misspelt_timeout": pipeline(step("a", timout="5s")),
    "description_for_name": pipeline(step("a", description="Reads the calendar")),
    "catch_for_on_error": pipeline(step("a", catch="continue")),
    "on_failure_for_on_error": pipeline(step("a"), on_failure=[step("h")]),
    "tasks_for_steps": {"version": 1, "tasks": [AGENDA]},
    "actions_for_steps": {"version": 1, "actions": [AGENDA]},
    "result_for_output": {"version": 1, "steps": [AGENDA], "result": {"n": 1}},
    "wrong_version": {"version": 2, "steps": [AGENDA]},
    "version_as_text": {"version": "1", "steps": [AGENDA]},
    "version_null": {"version": None, "steps": [AGENDA]},
    "handler_misspelt": pipeline(step("a", on_failure=[{"id": "h", "uses": SET, "with": {"e": "${eror.code}"}}])),
}
NAMES: dict[str, Any] = {
    "duplicate_id": pipeline(step("a"), step("a")),
    "three_times_the_same_id": pipeline(step("a"), step("a"), step("a")),
    "save_as_taken": pipeline(step("a"), step("b", save_as="a")),
    "save_as_with_capitals": pipeline(step("a", save_as="myResult")),
    "save_as_with_space": pipeline(step("a", save_as="my result")),
    "id_with_capitals": pipeline(step("listEvents")),
    "id_with_hyphen": pipeline(step("my-step")),
    "id_with_dots": pipeline(step("a.b")),
    "id_with_digit_first": pipeline(step("1st")),
    "id_dunder": pipeline(step("__class__")),
    "id_empty": pipeline(step("")),
    "id_blank": pipeline(step("   ")),
    "id_too_long": pipeline(step("a" * 64)),
    "id_number": pipeline({"id": 7, "uses": SET}),
    "id_missing": pipeline({"uses": SET}),
    "id_missing_with_name": pipeline({"name": "Read the Calendar", "uses": SET}),
    "id_on_error": pipeline(step("on_error")),
    "id_not_latin": pipeline(step("größe")),
    "duplicate_in_handler": pipeline(step("a", on_error=[step("a")])),
    "duplicate_in_branches": pipeline({"id": "p", "branches": {"x": [step("a")], "y": [step("a")]}}),
    "duplicate_in_do": pipeline({"id": "p", "do": [step("p")]}),
    "step_for_id": pipeline({"step": "a", "uses": SET}),
}
TOOLS: dict[str, Any] = {
    "unknown_tool_near": pipeline(step("a", "calender.list_event", input={"start": "${now}"})),
    "unknown_tool_bare_word": pipeline(step("a", "list_events", input={"start": "${now}"})),
    "unknown_tool_other_namespace": pipeline(step("a", "google.list_events", input={"start": "${now}"})),
    "unknown_tool_capitals": pipeline(step("a", "Weather.Forecast", input={"city": "B"})),
    "emit_without_namespace": pipeline(step("a", "emit", input={"topic": "x"})),
    "input_key_misspelt": pipeline(step("a", LIST, input={"strat": "${now}"})),
    "input_number_as_text": pipeline(step("a", LIST, input={"start": "x", "limit": "5"})),
    "input_enum_misspelt": pipeline(step("a", LIST, input={"start": "x", "order": "newst"})),
    "input_list_without_brackets": pipeline(step("a", LIST, input={"start": "x", "labels": "work"})),
    "input_boolean_as_text": pipeline(step("a", LIST, input={"start": "x", "all": "true"})),
    "input_text_as_number": pipeline(step("a", "weather.forecast", input={"city": 5})),
    "input_two_keys_misspelt": pipeline(step("a", LIST, input={"strat": "${now}", "ordr": "newest"})),
    "with_null": pipeline(step("a", input=None)),
    "with_empty_list": pipeline(step("a", input=[])),
}
EXPRESSIONS: dict[str, Any] = {
    "text_in_double_quotes": after_agenda(condition='steps.agenda.status == "ok"'),
    "text_in_double_quotes_in_template": after_agenda(input={"x": '${default(steps.agenda.x, "none")}'}),
    "text_in_backticks": after_agenda(condition="steps.agenda.status == `ok`"),
    "not_of_a_path": after_agenda(condition="!steps.agenda.done"),
    "not_of_a_long_path": after_agenda(condition="!steps.agenda.events[0].done"),
    "hyphen_in_path": after_agenda(input={"x": "${steps.agenda.last-name}"}),
    "single_equals": after_agenda(condition="steps.agenda.n = 3"),
    "triple_equals": after_agenda(condition="steps.agenda.n === 3"),
    "python_and": after_agenda(condition="steps.agenda.a and steps.agenda.b"),
    "python_or": after_agenda(condition="steps.agenda.a or steps.agenda.b"),
    "step_misspelt": after_agenda(input={"x": "${steps.agend.events}"}),
    "step_in_other_case": after_agenda(input={"x": "${steps.Agenda.events}"}),
    "step_without_root": after_agenda(input={"x": "${agenda.events}"}),
    "step_in_condition_without_root": after_agenda(condition="agenda.ok"),
    "root_misspelt": pipeline(step("a", input={"x": "${parms.city}"})),
    "root_in_singular": after_agenda(input={"x": "${stepz.agenda.events}"}),
    "run_member_misspelt": pipeline(step("a", input={"x": "${run.nam}"})),
    "step_member_misspelt": pipeline(step("a", input={"x": "${step.atempt}"})),
    "in_pipeline_handler": pipeline(step("a"), on_error=[step("h", input={"e": "${error.cod}"})]),
    "error_member_misspelt": pipeline(step("a", on_error=[step("h", input={"e": "${error.mesage}"})])),
    "in_output": pipeline(AGENDA, output={"x": "${steps.agend.y}"}),
    "in_list_in_object": after_agenda(input={"x": [{"y": "${steps.agend}"}]}),
    "in_text": after_agenda(input={"x": "n: ${length(steps.agend.events)}!"}),
    "twice_in_a_text": after_agenda(input={"x": "${steps.agend.a} ${steps.agend.b}"}),
    "param_misspelt": {"payload": {"params": {"city": "B"}, "pipeline": [step("a", input={"x": "${params.citty}"})]}},
}
VALUES: dict[str, Any] = {
    "timeout_without_unit": pipeline(step("a", timeout=30)),
    "pipeline_timeout_without_unit": pipeline(step("a"), timeout=3600),
    "retry_as_text": pipeline(step("a", retry="3")),
    "retry_code_in_lower_case": pipeline(step("a", retry={"max": 1, "codes": ["timeout"]})),
    "retry_code_with_space": pipeline(step("a", retry={"max": 1, "codes": ["tool error"]})),
    "retry_key_misspelt": pipeline(step("a", retry={"maxx": 1})),
    "retry_count": pipeline(step("a", retry={"count": 1})),
    "retry_delay_without_unit": pipeline(step("a", retry={"max": 1, "delay": 5})),
    "retry_backoff": pipeline(step("a", retry={"max": 1, "backoff": 2})),
    "on_error_ignore": pipeline(step("a", on_error="ignore")),
    "on_error_abort": pipeline(step("a", on_error="abort")),
    "on_error_capitals": pipeline(step("a", on_error="Skip")),
    "on_error_one_step": pipeline(step("a", on_error=step("h"))),
    "pipeline_on_error_one_step": pipeline(step("a"), on_error=step("h")),
    "wait_without_unit": pipeline(step("a", "orchestrator.wait", input={"for": "30"})),
    "wait_for_a_number": pipeline(step("a", "orchestrator.wait", input={"for": 30})),
    "max_retries_as_text": pipeline(step("a", max_retries="2")),
}
STRUCTURE: dict[str, Any] = {
    "for_each": loop(for_each="steps.agenda.events", uses=SET),
    "loop_key": loop(loop="steps.agenda.events", uses=SET),
    "with_items": loop(with_items=[1, 2], uses=SET),
    "steps_for_do": loop(foreach="steps.agenda.events", steps=[step("x")]),
    "body_for_do": loop(foreach="steps.agenda.events", body=[step("x")]),
    "parallel_for_branches": loop(parallel={"x": [step("x")], "y": [step("y")]}),
    "concurrency": loop(foreach="steps.agenda.events", concurrency=3, uses=SET),
    "max_parallel_without_foreach": loop(uses=SET, max_parallel=3),
    "max_parallel_as_text": loop(foreach="steps.agenda.events", uses=SET, max_parallel="3"),
    "do_one_step": loop(do=step("x")),
    "branch_one_step": loop(branches={"x": step("x"), "y": [step("y")]}),
    "branches_as_lists": loop(branches=[[step("x")], [step("y")]]),
    "branches_as_steps": loop(branches=[step("x"), step("y")]),
    "branches_with_steps": loop(branches=[{"steps": [step("x")]}, {"steps": [step("y")]}]),
    "branch_name_with_capitals": loop(branches={"Left": [step("x")], "right": [step("y")]}),
    "branch_called_on_error": loop(branches={"on_error": [step("x")]}),
    "with_beside_do": loop(do=[step("x")], **{"with": {"x": 1}}),
    "timeout_beside_do": loop(do=[step("x")], timeout="5m"),
    "retry_beside_branches": loop(branches={"a": [step("x")]}, retry=3),
    "foreach_list_misspelt": loop(foreach="steps.agend.events", uses=SET),
    "foreach_without_root": loop(foreach="agenda.events", uses=SET),
    "item_misspelt": loop(foreach="steps.agenda.events", uses=SET, **{"with": {"x": "${itm.name}"}}),
    "index_misspelt": loop(foreach="steps.agenda.events", uses=SET, **{"with": {"x": "${indx}"}}),
    "inner_name_outside": pipeline(
        AGENDA,
        {"id": "loop", "foreach": "steps.agenda.events", "do": [step("x")]},
        step("z", input={"v": "${steps.x}"}),
    ),
    "inner_id_with_capitals": loop(foreach="steps.agenda.events", do=[step("readOne")]),
    "inner_tool_misspelt": loop(do=[step("x", "weather.forcast", input={"city": "B"})]),
    "inner_trap": loop(foreach="steps.agenda.events", do=[step("x", condition='item.kind == "meeting"')]),
    "outer_handler_of_loop": loop(foreach="steps.agenda.events", uses=SET, on_error=step("h")),
}
POLL = {"until": "steps.a.ok", "every": "5s"}
FLOW: dict[str, Any] = {
    "otherwise_for_else": pipeline(step("a", condition="params.x", otherwise=[step("b")])),
    "else_without_if": pipeline({**step("a"), "else": [step("b")]}),
    "else_with_when": pipeline({**step("a"), "when": "params.x", "else": [step("b")]}),
    "else_one_step": pipeline({**step("a", condition="params.x"), "else": step("b")}),
    "else_with_a_taken_id": pipeline({**step("a", condition="params.x"), "else": [step("a")]}),
    "while_for_until": pipeline(step("a", every="5s", **{"while": "!(steps.a.ok)"})),
    "until_without_every": pipeline(step("a", until="steps.a.ok")),
    "interval_for_every": pipeline(step("a", until="steps.a.ok", interval="5s")),
    "every_without_unit": pipeline(step("a", until="steps.a.ok", every=5)),
    "every_without_until": pipeline(step("a", every="5s")),
    "max_rounds_without_until": pipeline(step("a", max_rounds=5)),
    "max_rounds_as_text": pipeline(step("a", max_rounds="5", **POLL)),
    "max_attempts_of_until": pipeline(step("a", max_attempts=5, **POLL)),
    "until_in_double_quotes": pipeline(step("a", every="5s", until='steps.a.ok == "yes"')),
    "until_misspelt": pipeline(step("job", every="5s", until="steps.jop.ok")),
    "tolerate_with_a_space": pipeline(step("a", foreach=[1], tolerate="5 %")),
    "tolerate_as_text": pipeline(step("a", foreach=[1], tolerate="5")),
    "tolerate_as_a_fraction": pipeline(step("a", foreach=[1], tolerate=0.05)),
    "tolerate_without_foreach": pipeline(step("a", tolerate=1)),
    "max_failures_for_tolerate": pipeline(step("a", foreach=[1], max_failures=1)),
}
APPROVALS: dict[str, Any] = {
    "approval_of_nothing": pipeline(step("a", needs_approval=True)),
    "approval_before_a_wait": pipeline(step("a", "orchestrator.wait", input={"for": "1m"}, needs_approval=True)),
    "approval_of_a_group": loop(do=[step("x")], needs_approval=True),
    "approval_as_text": pipeline(guarded("Send it?")),
    "approval_by_list": pipeline(guarded(["boss", "agents/chief"])),
    "approval_without_unit": pipeline(guarded({"expires_in": 3600})),
    "approval_of_one": pipeline(guarded({"assignees": "boss"})),
    "approval_by_another_word": pipeline(step("b", LIST, input={"start": "${now}"}, confirm={"expires_in": "1d"})),
    "approval_with_other_keys": pipeline(guarded({"question": "Really?", "approvers": ["boss"], "timeout": "1d"})),
    "approval_with_paths": pipeline(guarded({"editable": ["text", "labels.first"]})),
    "approval_with_quotes": pipeline(guarded({"allow_self": "true"})),
    "question_without_text": pipeline(step("a", ASK, input={"mesage": "Really?"})),
    "question_to_one": pipeline(step("a", ASK, input={"message": "Really?", "assignees": "boss"})),
}
SEVERAL: dict[str, Any] = {
    "wrapped": {"payload": {"pipeline": [{"id": "A", "uses": SET}]}},
    "several_at_once": pipeline(
        {"id": "A-1", "use": "calendar.list_event", "with": {"strat": "${now}"}, "timeout": 5},
        step("b", condition='steps.a_1.x == "y"'),
    ),
    "several_in_a_loop": loop(
        for_each="agenda.events",
        concurrency="4",
        do={"id": "Read", "tool": "forecast", "args": {"city": "${item.city}"}, "timeout": 5},
    ),
    "several_in_branches": pipeline(
        {"id": "both", "parallel": [{"id": "X", "uses": SET}, {"id": "Y", "uses": SET}], "retry": 2}
    ),
    "computed_wait": pipeline(step("a", "orchestrator.run_task", input={"task": "x", "wait": "${params.x}"})),
}
HOPELESS: dict[str, Any] = {
    "empty": pipeline(),
    "inner_pipeline": pipeline(step("a", "orchestrator.run_pipeline", input={"pipeline": {"step": []}})),
    "two_actions": pipeline({"id": "a", "uses": SET, "do": [step("b")]}),
    "no_such_tool": pipeline(step("a", "zzz.qqq")),
    "reference_to_itself": pipeline(step("a", input={"x": "${steps.a}"})),
    "error_outside": pipeline(step("a", input={"x": "${error.code}"})),
    "foreach_a_number": loop(foreach=5, uses=SET),
    "placeholder_in_placeholder": pipeline(step("a", input={"x": "${a${b}}"})),
    "wait_until_a_day": pipeline(step("a", "orchestrator.wait", input={"until": "tomorrow"})),
    "timeout_in_words": pipeline(step("a", timeout="soon")),
}
"""Documents that cannot be repaired without knowing the intention."""
BROKEN = {**KEYS, **NAMES, **TOOLS, **EXPRESSIONS, **VALUES, **STRUCTURE, **FLOW, **APPROVALS, **SEVERAL, **HOPELESS}
OUT_OF_RANGE: dict[str, Any] = {
    "elif": pipeline(step("a", condition="params.x", **{"elif": "params.y"})),
    "repeat": pipeline(step("a", repeat=5)),
    "while_true": pipeline({**step("a", every="5s"), "while": True}),
    "until_true": pipeline(step("a", every="5s", until=True)),
    "else_of_nothing": pipeline({**step("a", condition="params.x"), "else": []}),
    "else_as_text": pipeline({**step("a", condition="params.x"), "else": "continue"}),
    "tolerate_too_much": pipeline(step("a", foreach=[1], tolerate="101%")),
    "tolerate_less_than_nothing": pipeline(step("a", foreach=[1], tolerate=-1)),
    "too_many_rounds": pipeline(step("a", max_rounds=1001, **POLL)),
    "too_many_elements": pipeline(step("a", foreach=[0] * 10_001)),
}
"""Documents without a repair, for which the parser and the published schema are compared."""
VALID: dict[str, Any] = {
    "smallest": pipeline(step("a")),
    "bare_list": [step("a")],
    "payload": {"payload": {"params": {"x": 1}, "pipeline": [step("a", input={"x": "${params.x}"})]}},
    "payload_document": {"payload": {"pipeline": pipeline(step("a"))}},
    "no_version": {"steps": [step("a")]},
    "tool": pipeline(AGENDA),
    "conditions": after_agenda(condition="length(steps.agenda.events) > `0` && !(steps.agenda.done)"),
    "condition_in_braces": after_agenda(condition="${steps.agenda.n > 25}"),
    "condition_constant": pipeline(step("a", condition=False), step("b", condition=None)),
    "duration_forms": pipeline(
        *[step(f"s{n}", timeout=d) for n, d in enumerate(["90s", "5m", "1h30m", "PT1H", "500ms"])]
    ),
    "older_modifiers": pipeline(step("a", timeout_seconds=5, max_retries=2)),
    "retry_number": pipeline(step("a", retry=0)),
    "retry_rule": pipeline(
        step("a", retry={"max": 3, "delay": "1s", "factor": 1.5, "max_delay": "1m", "jitter": 0, "codes": ["X_1"]})
    ),
    "handlers": pipeline(
        step("a", on_error=[step("h", input={"e": "${error.code}"})]), on_error=[step("z", input={"e": "${error}"})]
    ),
    "continue": pipeline(step("a", on_error="continue", save_as="b", name="A step")),
    "output": pipeline(AGENDA, output=["${steps.agenda.events}", {"n": 1}], timeout="1h"),
    "whole_input": pipeline(step("a", input="${params.all}")),
    "escapes": pipeline(step("a", input={"x": "$${not} {${'{'} this }} {that} $"})),
    "loop": loop(foreach="steps.agenda.events", uses=SET, **{"with": {"x": "${item}", "n": "${index}"}}),
    "loop_in_braces": loop(foreach="${steps.agenda.events[?kind == 'a']}", max_parallel=1, uses=SET),
    "loop_over_list": loop(foreach=[1, "${now}", {"x": 2}], uses=SET),
    "loop_over_nothing": loop(foreach=[], uses=SET),
    "loop_of_steps": loop(
        foreach="steps.agenda.events[:5]", do=[step("x", input={"i": "${item}"}), step("y", input={"x": "${steps.x}"})]
    ),
    "group": loop(do=[step("x"), step("y")], condition="steps.agenda.ok"),
    "branches": loop(branches={"left": [step("x")], "right": [step("y")]}, save_as="both", on_error="continue"),
    "all_at_once": loop(foreach="steps.agenda.events", branches={"l": [step("x", input={"i": "${item}"})]}),
    "deep": loop(
        do=[{"id": "l2", "do": [{"id": "l3", "branches": {"b": [{"id": "l4", "foreach": [1], "do": [step("x")]}]}}]}]
    ),
    "alternatives": pipeline(
        {**step("a", condition="params.x"), "else": [{**step("b", condition=False), "else": [step("c")]}]},
        {"id": "d", "if": "params.y", "do": [step("e")], "else": [step("f")], "on_error": "continue"},
        {**step("g", condition="params.x", foreach=[1]), "else": [step("h", input={"x": "${steps.c}"})]},
        output="${[steps.b, steps.c, steps.f]}",
    ),
    "rounds": pipeline(
        step("a", max_rounds=5, timeout="1h", **POLL),
        {"id": "b", "do": [step("c")], "until": "steps.c.ok", "every": "1m", "timeout": "10h", "on_error": "continue"},
        {"id": "d", "branches": {"l": [step("e")]}, "until": "${steps.d.l.ok}", "every": "100ms", "timeout_seconds": 5},
        step("f", foreach=[1], until="steps.f.ok && item", every="PT1H", max_rounds=1000, tolerate=1),
    ),
    "tolerant": pipeline(
        *[
            step(f"t{n}", foreach=[1], tolerate=t)
            for n, t in enumerate([0, 1, 10_000, 3.0, "0%", "5%", "12.5%", "100%"])
        ]
    ),
    "long_loop": pipeline(step("a", foreach=[0] * 10_000)),
    "filter_with_root": after_agenda(input={"x": "${steps.agenda.events[?days >= params.min]}"}),
    "waits": pipeline(
        step("a", "orchestrator.wait", input={"for": "PT1H"}),
        step("b", "orchestrator.wait", input={"until": "2026-12-24T18:00:00+01:00"}),
        step("c", "orchestrator.wait", input={"until": "${now+24h}"}),
    ),
    "approvals": pipeline(
        guarded({"message": "Read ${params.name}?", "assignees": ["boss", "${params.boss}"], "expires_in": "1d"}),
        step("c", LIST, input={"start": "${now}"}, needs_approval=True),
        step("d", LIST, input={"start": "${now}"}, needs_approval=False),
        step("e", LIST, input={"start": "${now}"}, needs_approval={"assignees": "${params.all}", "editable": [""]}),
        step("f", ASK, input={"message": "Sure?", "choices": ["yes", "reject"], "expires_in": "1h"}),
    ),
    "times": pipeline(step("a", input={"t": "${now+24h}", "u": "${format_time(now, '%H:%M', 'Europe/Berlin')}"})),
}
