"""Random expressions over odd zones against an oracle that walks every minute and shares no code with the triggers.

The suite looks at about seven hundred instants, `make test-full` at four times as many.
`ORDINAUT_ORACLE_INSTANTS=100000` sets how many of cron (and a fifth of that of rules); `ORDINAUT_ORACLE_SEED` repeats
a run whose seed was printed.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from scheduler.triggers.cron.trigger import CronTrigger
from scheduler.triggers.localtime.clock_change import BY_KIND, Dst
from scheduler.triggers.localtime.zone import zone
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import TimeTrigger
from tests.sample import amount
from tests.unit.time.oracle import MINUTE, WEEKDAYS, CronOracle, Places, RuleOracle, changes, wall

INSTANTS = amount("ORDINAUT_ORACLE_INSTANTS", 250, 2_000)
SEED = int(os.environ.get("ORDINAUT_ORACLE_SEED", "20261123"))
ZONES = (
    "Australia/Lord_Howe", "Europe/Chisinau", "Pacific/Apia", "America/St_Johns", "Africa/Casablanca",
    "Pacific/Kiritimati", "Antarctica/Troll", "America/Sao_Paulo", "America/New_York", "Asia/Kathmandu",
    "America/Caracas", "Asia/Pyongyang", "Africa/Cairo", "America/Nuuk", "Asia/Gaza", "Antarctica/Casey",
    "America/Havana", "Asia/Tehran", "Europe/Dublin", "Pacific/Chatham", "UTC",
)  # fmt: skip
PER_WALL = 12
REAL_TIME_SHARE = 40


def clock_change(random: Random, name: str) -> datetime:
    """A day on which clocks change, or any day."""
    known = changes(name)
    if known and random.random() < 0.8:
        return random.choice(known)
    return datetime(random.randint(1975, 2036), random.randint(1, 12), random.randint(1, 28), tzinfo=UTC)


def cron_field(random: Random, low: int, high: int, *, stars: float) -> tuple[str, frozenset[int], bool]:
    """The text of a field, what it means, and whether it begins with a star."""
    if random.random() < stars:
        step = random.choice((1, 1, 2, 3, 5, 7, 20))
        return ("*" if step == 1 else f"*/{step}"), frozenset(range(low, high + 1, step)), True
    texts, values = [], set()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        first = random.randint(low, high)
        if random.random() < 0.7:
            texts.append(str(first))
            values.add(first)
            continue
        last, step = random.randint(first, high), random.choice((1, 1, 2, 4))
        texts.append(f"{first}-{last}" + (f"/{step}" if step > 1 else ""))
        values |= set(range(first, last + 1, step))
    return ",".join(texts), frozenset(values), False


def random_cron(random: Random) -> CronOracle:
    """An expression: one in three follows real time, and few are dense."""
    real_time = random.random() < 0.33
    stars = 0.5 if real_time else 0
    minutes = cron_field(random, 0, 59, stars=stars)
    hours = cron_field(random, 0, 23 if stars else random.choice((3, 23)), stars=stars)
    days = cron_field(random, 1, 31, stars=0.75)
    months = cron_field(random, 1, 12, stars=0.9)
    weekdays = cron_field(random, 0, 6, stars=0.75)
    fields = {"minutes": minutes, "hours": hours, "days": days, "months": months, "weekdays": weekdays}
    starred = frozenset(name for name, field in fields.items() if field[2])
    text = " ".join(field[0] for field in fields.values())
    return CronOracle(text, minutes[1], hours[1], days[1], months[1], weekdays[1], starred)


def random_dst(random: Random) -> Dst:
    """What a schedule says of clock changes: mostly nothing."""
    if random.random() < 0.5:
        return BY_KIND
    return Dst(random.choice(("", "RUN_AFTER", "SHIFT", "SKIP")), random.choice(("", "FIRST", "LAST", "BOTH")))


def following(trigger: TimeTrigger, after: datetime, number: int) -> list[datetime]:
    """The trigger's next instants."""
    found: list[datetime] = []
    while len(found) < number:
        firing = trigger.after(after)
        if firing is None:
            break
        after = firing.time
        found.append(after)
    return found


def compare(trigger: TimeTrigger, expected: Sequence[datetime], begin: datetime, said: str) -> int:
    """From the beginning and from anywhere between, the trigger says what the oracle saw; how many instants."""
    found = following(trigger, begin, len(expected))
    assert found == list(expected), said
    for place in range(0, len(expected), 7):
        assert following(trigger, expected[place] - MINUTE / 2, 1) == [expected[place]], said
    return len(expected)


def test_cron() -> None:
    """Cron expressions around clock changes."""
    random = Random(SEED)
    instants = rules = 0
    while instants < INSTANTS:
        name = random.choice(ZONES)
        days = 40 if random.random() < 0.05 else 4
        begin = clock_change(random, name) - timedelta(days=days / 2, minutes=random.randint(0, 600))
        seen = wall(name, begin, days * 24 * 60)
        edge = begin + timedelta(hours=26)
        for _ in range(PER_WALL):
            cron = random_cron(random)
            dst = random_dst(random)
            expected = [time for time in cron.times(seen, cron.places(dst.gap, dst.overlap)) if time > edge]
            said = f"{cron.text} in {name} with {dst} after {edge.isoformat()} (seed {SEED})"
            instants += compare(CronTrigger(cron.text, zone(name), dst), expected[:REAL_TIME_SHARE], edge, said)
            rules += 1
    print(f"cron: {instants} instants of {rules} expressions, seed {SEED}, no difference")


def random_rule(random: Random, start: datetime) -> RuleOracle:
    """A rule by the day or longer whose parts may stand together."""
    freq = random.choice(("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "DAILY"))
    by: dict[str, list[str]] = {}

    def maybe(name: str, share: float, low: int, high: int, *, signed: bool = False) -> None:
        if random.random() < share:
            numbers = {random.randint(low, high) for _ in range(random.randint(1, 3))}
            by[name] = [str(-number if signed and random.random() < 0.4 else number) for number in numbers]

    maybe("BYMONTH", 0.25, 1, 12)
    if freq != "WEEKLY":
        maybe("BYMONTHDAY", 0.25, 1, 31, signed=True)
    if freq == "YEARLY":
        maybe("BYYEARDAY", 0.2, 1, 366, signed=True)
    week_start = random.randint(0, 6)
    if freq == "YEARLY" and random.random() < 0.2:
        maybe("BYWEEKNO", 1, 1, 53, signed=True)
        week_start = 0  # as ISO counts weeks
    if random.random() < 0.4:
        ordinal = freq in ("YEARLY", "MONTHLY") and "BYWEEKNO" not in by and random.random() < 0.5
        most = 5 if freq == "MONTHLY" or "BYMONTH" in by else 53
        names = random.sample(WEEKDAYS, random.randint(1, 3))
        by["BYDAY"] = [f"{random.choice((1, -1)) * random.randint(1, most)}{day}" if ordinal else day for day in names]
    maybe("BYHOUR", 0.6, 0, random.choice((3, 23)))
    maybe("BYMINUTE", 0.4, 0, 59)
    if by and random.random() < 0.15:
        by["BYSETPOS"] = [str(random.choice((1, -1, 2, -2)))]
    interval = random.choice((1, 1, 1, 2, 3)) if len(by) < 4 else 1
    count = random.choice((None, None, 3, 9))
    return RuleOracle(start, freq, interval, week_start, by, count)


def local_minute(name: str, instant: datetime) -> datetime:
    """A local minute that clocks show at about the instant."""
    return wall(name, instant.replace(minute=0, second=0, microsecond=0), 1).shown[0][1]


def test_rules() -> None:
    """RRULEs by the day or longer: what they name, and where that is on clocks that change."""
    random = Random(SEED)
    instants = rules = 0
    while instants < INSTANTS // 5:
        name = random.choice(ZONES)
        change = clock_change(random, name)
        rule = random_rule(random, local_minute(name, change - timedelta(days=random.randint(1, 6))))
        nominals = rule.nominals(10, rule.start.date() + timedelta(days=1500))
        dst = random_dst(random)
        places = Places(dst.gap or "SHIFT", dst.overlap or "FIRST")
        expected: set[datetime] = set()
        for local in nominals:
            noon = datetime.combine(local.date(), datetime.min.time(), UTC)
            expected |= set(places.of(local, wall(name, noon - timedelta(hours=16), 54 * 60)))
        trigger = RRuleTrigger(rule.text, zone(name), dst)
        begin = datetime(1971, 1, 1, tzinfo=UTC)
        instants += compare(trigger, sorted(expected), begin, f"{rule.text} in {name} with {dst} (seed {SEED})")
        rules += 1
    print(f"rules: {instants} instants of {rules} rules, seed {SEED}, no difference")


def test_rules_in_elapsed_time() -> None:
    """RRULEs by the hour or minute count real time, and look at clocks only for their BY parts."""
    random = Random(SEED)
    instants = rules = 0
    while instants < INSTANTS // 5:
        name = random.choice(ZONES)
        begin = clock_change(random, name) - timedelta(days=2, hours=random.randint(0, 20))
        seen = wall(name, begin, 4 * 24 * 60)
        freq, by = random.choice(("HOURLY", "MINUTELY")), {}
        for part, most, share in (("BYHOUR", 23, 0.4), ("BYMINUTE", 59, 0.4), ("BYMONTHDAY", 28, 0.1)):
            if random.random() < share:
                by[part] = [str(random.randint(part == "BYMONTHDAY", most)) for _ in range(random.randint(1, 4))]
        expands = freq == "HOURLY" and "BYMINUTE" in by
        interval = 1 if expands else random.choice((1, 2, 5) if freq == "HOURLY" else (1, 7, 45, 90))
        start = seen.shown[60][1]
        rule = RuleOracle(start, freq, interval, 0, by)
        anchor = seen.passes[start][0]
        expected = [time for time in rule.elapsed(seen) if not expands or time >= anchor][:REAL_TIME_SHARE]
        trigger = RRuleTrigger(rule.text, zone(name))
        instants += compare(trigger, expected, anchor - MINUTE, f"{rule.text} in {name} (seed {SEED})")
        rules += 1
    print(f"elapsed rules: {instants} instants of {rules} rules, seed {SEED}, no difference")


@pytest.mark.parametrize(
    ("name", "start", "freq", "interval", "by", "at"),
    [
        # 00:08 is lost where Kiritimati jumped from 00:00 to 00:40, and 00:44 comes all the same.
        ("Pacific/Kiritimati", "1979-09-27T08:20", "MINUTELY", 7, {"BYMINUTE": ["33", "44", "8"]}, "1979-10-01T10:44Z"),
        # Half an hour was left of the hour in which Caracas jumped from 02:30 to 03:00.
        ("America/Caracas", "2016-04-27T14:30", "HOURLY", 1, {"BYMINUTE": ["8"], "BYHOUR": ["2"]}, "2016-05-01T06:38Z"),
    ],
)
def test_cases_that_the_oracle_found(
    name: str, start: str, freq: str, interval: int, by: dict[str, list[str]], at: str
) -> None:
    """Instants that rules in elapsed time once lost."""
    rule = RuleOracle(datetime.fromisoformat(start), freq, interval, 0, by)
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC) - timedelta(days=1)
    expected = list(rule.elapsed(wall(name, begin, 6 * 24 * 60)))
    assert datetime.fromisoformat(at) in expected
    compare(RRuleTrigger(rule.text, zone(name)), expected, begin, rule.text)
