"""Changed texts are answered without an error, in time, and with valid triggers."""

import os
from datetime import UTC, datetime
from random import Random

import pytest

from scheduler.dialects.times import next_times
from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty
from tests.dialects.corpus import ASKED, CERTAIN, REFUSED
from tests.sample import amount

NUMBER = amount("ORDINAUT_TEXTS", 150, 20_000)
SEED = int(os.environ.get("ORDINAUT_TEXTS_SEED", "20261130"))
NOW = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
LETTERS = "0123456789*/-,?LW#HRPT:.@ ()abdehmnorstuvy\u0103\u00ee\u0219\u021b+;=Z[]~\n\u0663\u3000"
TEXTS = [*CERTAIN, *ASKED, *REFUSED]


def changed(random: Random) -> str:
    """A known text with some letters inserted, removed, or replaced by a part of another text."""
    text = random.choice(TEXTS)
    for _ in range(random.randint(1, 4)):
        place = random.randint(0, len(text))
        form = random.random()
        if form < 0.4:
            text = text[:place] + random.choice(LETTERS) + text[place:]
        elif form < 0.7:
            text = text[:place] + text[place + 1 :]
        else:
            text = text[:place] + random.choice(TEXTS)[: random.randint(0, 12)] + text[place:]
    return text


@pytest.mark.parametrize("field", ["cron", "rrule", "once", "interval"])
def test_changed_texts(field: str) -> None:
    """Every reading is a trigger that can be evaluated, and there are several only with a question."""
    random = Random(f"{SEED} {field}")
    for _ in range(NUMBER):
        text = changed(random)
        translation = translate(text, field, NOW, random.choice(("", "UTC", "Europe/Chisinau")))
        for reading in translation.readings:
            next_times(reading.trigger, NOW, None)
        several = len(translation.readings) > 1
        assert several == bool(translation.question) == (translation.certainty in (Certainty.ASK, Certainty.ASSUMED))
        assert bool(translation.readings) == (translation.certainty is not Certainty.REFUSED), text
