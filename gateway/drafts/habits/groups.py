"""The groups of habits, in the order in which they are applied."""

from collections.abc import Callable

from gateway.drafts.habits.builtins import ask_namespace
from gateway.drafts.habits.conditions import conditions
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.names import step_ids, task_name
from gateway.drafts.habits.order import follow, order
from gateway.drafts.habits.params import declared_params
from gateway.drafts.habits.schedule import ask_paused, schedule_shape, window
from gateway.drafts.habits.shape import (
    defaults,
    drop_unknown,
    finals,
    gather_pipeline,
    gather_policy,
    gather_schedule,
    rename_task_keys,
    unwrap,
)
from gateway.drafts.habits.steps import disabled_steps, empty_members, errors, inputs, retries, step_lists, trivia
from gateway.drafts.habits.templates import rewrite_templates
from gateway.drafts.habits.tools import (
    ask_missing,
    close_gates,
    input_lists,
    match_inputs,
    positional,
    resolve_tools,
    single_values,
)
from gateway.drafts.habits.units import durations, numbers, policies
from gateway.drafts.tree import Object

Habit = Callable[[Work], None]
SHAPE: tuple[Habit, ...] = (
    *(unwrap, defaults, rename_task_keys, gather_pipeline, finals, gather_schedule, schedule_shape, gather_policy),
    *(step_lists, conditions, step_lists, ask_paused, drop_unknown),
)
KEYS: tuple[Habit, ...] = (retries, errors, disabled_steps, declared_params, empty_members)
NAMES: tuple[Habit, ...] = (task_name, step_ids, order, follow)
UNITS: tuple[Habit, ...] = (durations, numbers, policies, window)
TOOLS: tuple[Habit, ...] = (
    *(input_lists, inputs, resolve_tools, inputs, match_inputs, positional, single_values, trivia, ask_namespace),
    close_gates,
)
TEMPLATES: tuple[Habit, ...] = (rewrite_templates, ask_missing)
GROUPS = (SHAPE, KEYS, NAMES, TOOLS, UNITS, TEMPLATES)


def normalise(work: Work) -> None:
    """Rewrites what is written in another form; a valid document is not changed."""
    for group in GROUPS:
        for habit in group:
            if isinstance(work.draft.root, Object) or habit is unwrap:
                habit(work)
