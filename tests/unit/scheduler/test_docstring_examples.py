"""The examples in the docstrings of pure functions give the results they show."""

import doctest
from types import ModuleType

import pytest

from scheduler.dialects import crontab, fields, on_calendar, spans, text, translate, words, writing
from scheduler.dialects.phrases import parse as phrase_parse
from scheduler.events import task_health
from scheduler.firing import next_instant
from scheduler.triggers import trigger
from scheduler.triggers.cron import parse as cron_parse
from scheduler.triggers.cron import trigger as cron_trigger
from scheduler.triggers.localtime import changing_hours, nearby_change, zone, zone_names
from scheduler.triggers.rrule import parse as rrule_parse
from scheduler.triggers.rrule import trigger as rrule_trigger
from scheduler.validation import equality, findings

MODULES = [
    changing_hours, cron_parse, cron_trigger, crontab, equality, fields, findings, nearby_change, next_instant,
    on_calendar, phrase_parse, rrule_parse, rrule_trigger, spans, task_health, text, translate, trigger, words,
    writing, zone, zone_names,
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_hold(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed
