"""Random expressions of each dialect: what is certain has exactly the times of the dialect, over two years.

A question must have the dialect's reading among its choices. `ORDINAUT_DIALECTS` sets how many expressions each
dialect gets, `ORDINAUT_DIALECTS_SEED` repeats a run.
"""

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from scheduler.dialects.times import next_times
from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty, TimeText
from tests.dialects import oracles
from tests.dialects.expressions import GENERATORS
from tests.dialects.oracles import Oracle
from tests.sample import amount

NUMBER = amount("ORDINAUT_DIALECTS", 50, 3_000)
SEED = int(os.environ.get("ORDINAUT_DIALECTS_SEED", "20261130"))
NOW = datetime(2026, 5, 1, 10, 0, 30, tzinfo=UTC)
LAST_DAY = date(2028, 5, 1)
HORIZON = datetime.combine(LAST_DAY, datetime.max.time())
MOST = 120
JUMPS = 4


def times_of(trigger: TimeText, after: datetime, number: int) -> list[datetime]:
    """The trigger's next local times up to the horizon."""
    times = (time.replace(tzinfo=None) for time in next_times(trigger, NOW, None, number, after))
    return [time for time in times if time <= HORIZON]


def difference(trigger: TimeText, oracle: Oracle, random: Random) -> str:
    """Where the trigger and the oracle differ, or an empty text: from now on, and after any times."""
    if trigger.kind == "interval":
        return "" if trigger.value == "1s" and len(oracle.seconds) == 86_400 else "an interval"
    starts = [NOW, *(NOW + timedelta(seconds=random.randint(0, 700 * 86_400)) for _ in range(JUMPS))]
    for place, start in enumerate(starts):
        number = MOST if place == 0 else 3
        local = start.replace(tzinfo=None)
        expected = []
        for time in oracle.between(local.date(), LAST_DAY):
            if time > local:
                expected.append(time)
            if len(expected) == number:
                break
        actual = times_of(trigger, start, number)
        if actual != expected:
            return f"after {start}: {actual[:3]} in place of {expected[:3]}"
    return ""


@pytest.mark.parametrize("dialect", GENERATORS)
def test_random_expressions(dialect: str) -> None:
    """None is translated to other times; most are translated, or asked for."""
    random = Random(f"{SEED} {dialect}")
    counts: Counter[str] = Counter()
    for _ in range(NUMBER):
        text = GENERATORS[dialect](random)
        oracle: Oracle = getattr(oracles, dialect)(text)
        translation = translate(text, "rrule", NOW)
        counts[translation.certainty.value] += 1
        differences = [difference(reading.trigger, oracle, random) for reading in translation.readings]
        description = f"{dialect}: {text} -> {[reading.trigger for reading in translation.readings]} {differences}"
        if translation.certainty is Certainty.CERTAIN:
            assert differences == [""], description
        elif translation.readings:
            assert "" in differences, description
    print(f"{dialect}: {dict(counts)}, seed {SEED}, no difference")
    assert counts["refused"] < NUMBER * 0.3, counts
