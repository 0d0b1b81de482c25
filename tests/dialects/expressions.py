"""Random expressions of each dialect."""

from collections.abc import Callable
from random import Random

from tests.dialects.oracles import DAY_NAMES, MONTH_NAMES


def item(random: Random, low: int, high: int, *, wraps: bool = False, steps: bool = True) -> str:
    """A value, a range or a step."""
    form = random.random()
    first, last = sorted((random.randint(low, high), random.randint(low, high)))
    if form < 0.55:
        return str(first)
    if form < 0.75 and first != last:
        return f"{last}-{first}" if wraps and random.random() < 0.3 else f"{first}-{last}"
    if not steps or form < 0.8:
        return str(last)
    step = random.randint(1, max(2, (high - low) // 2))
    return random.choice((f"{first}/{step}", f"*/{step}", f"{first}-{last}/{step}"))


def field(random: Random, low: int, high: int, stars: float, *, wraps: bool = False) -> str:
    """A star, an item, or a list of some."""
    if random.random() < stars:
        return "*"
    number = random.choice((1, 1, 1, 2, 3))
    return ",".join(item(random, low, high, wraps=wraps, steps=number == 1) for _ in range(number))


def clock(random: Random, *, seconds: bool, wraps: bool = False) -> list[str]:
    """The fields of a time of day."""
    second = [random.choice(("0", "0", "0", field(random, 0, 59, 0.1)))] if seconds else []
    minute = random.choice(("0", "30", field(random, 0, 59, 0.2, wraps=wraps)))
    return [*second, minute, field(random, 0, 23, 0.3, wraps=wraps)]


def month(random: Random) -> str:
    """Mostly a star; names and numbers else."""
    if random.random() < 0.7:
        return "*"
    first, last = sorted((random.randint(0, 11), random.randint(0, 11)))
    return random.choice((f"{first + 1}", MONTH_NAMES[last], f"{MONTH_NAMES[first]}-{MONTH_NAMES[last]}"))


def weekday(random: Random, low: int, high: int, *, letters: bool, wraps: bool = False) -> str:
    """Names, numbers, ranges, and L and # where the dialect has them."""
    form = random.random()
    first_name, second_name = random.sample(DAY_NAMES, 2)
    if letters and form < 0.2:
        return f"{random.choice((first_name, str(random.randint(max(low, 1), high))))}#{random.randint(1, 5)}"
    if letters and form < 0.35:
        return f"{random.choice((first_name, str(random.randint(max(low, 1), high))))}L"
    if form < 0.5:
        return first_name
    if form < 0.6:
        return f"{first_name},{second_name}"
    if form < 0.75:
        return "MON-FRI"
    return field(random, low, high, 0, wraps=wraps)


def day_of_month(random: Random, *, letters: bool) -> str:
    """Numbers, and L and W where the dialect has them."""
    if letters and random.random() < 0.35:
        return random.choice(("L", "LW", "1W", f"{random.randint(2, 28)}W", f"L-{random.randint(1, 9)}"))
    return field(random, 1, 31, 0)


def days(random: Random, low: int, high: int, empty: str, *, letters: bool, wraps: bool = False) -> list[str]:
    """Day of month, month, day of week, one of the two days without a restriction."""
    form = random.random()
    if form < 0.3:
        pair = ["*", empty]
        random.shuffle(pair)
        return [pair[0], month(random), pair[1]]
    if form < 0.6:
        return [day_of_month(random, letters=letters), month(random), empty]
    return [empty, month(random), weekday(random, low, high, letters=letters, wraps=wraps)]


def quartz(random: Random) -> str:
    """Six fields, in one of four a year as well."""
    year = random.choice(([], [], [], [random.choice(("*", "2026-2027", "2027", "2026-2199"))]))
    words = [*clock(random, seconds=True, wraps=True), *days(random, 1, 7, "?", letters=True, wraps=True)]
    return " ".join([*words, *year])


def aws(random: Random) -> str:
    """Six fields, some of them in `cron(…)`."""
    year = random.choice(("*", "*", "2026-2027", "2027"))
    text = " ".join([*clock(random, seconds=False), *days(random, 1, 7, "?", letters=True), year])
    return f"cron({text})" if random.random() < 0.3 else text


def spring(random: Random) -> str:
    """Six fields; `*` or `?` for days without a restriction, in a few both days are restricted."""
    words = days(random, 0, 7, random.choice("*?"), letters=True)
    if random.random() < 0.1:
        words = [day_of_month(random, letters=False), "*", weekday(random, 0, 7, letters=False)]
    return " ".join([*clock(random, seconds=True), *words])


def node_cron(random: Random) -> str:
    """Six fields without letters."""
    words = days(random, 0, 7, "*", letters=False)
    if random.random() < 0.1:
        words = [day_of_month(random, letters=False), "*", weekday(random, 0, 7, letters=False)]
    return " ".join([*clock(random, seconds=True), *words])


def crontab(random: Random) -> str:
    """Five fields with what Vixie's cron does not have: wrapping ranges, open steps, `?`, L and #."""
    words = days(random, 0, 6, random.choice("*?"), letters=random.random() < 0.5, wraps=True)
    return " ".join([*clock(random, seconds=False, wraps=True), *words])


def on_calendar(random: Random) -> str:
    """Weekdays, a date and a time, of which some are left out."""
    words = []
    if random.random() < 0.5:
        names = [name.capitalize() for name in random.sample(DAY_NAMES, 2)]
        words.append(random.choice((names[0], ",".join(names), "..".join(names))))
    date = [random.choice(("*", "*", "2026..2027", "2027")), dotted(field(random, 1, 12, 0.7))]
    day = dotted(field(random, 1, 31, 0.5))
    if random.random() < 0.2:
        words.append(f"{date[0]}-{date[1]}~{random.choice(('01', '03', '07/1', '2,1'))}")
    elif random.random() < 0.8 or not words:
        words.append("-".join([*date, day]))
    if random.random() < 0.8 or len(words) < 2:
        seconds = random.choice(([], ["00"], ["0"], [dotted(field(random, 0, 59, 0.2))]))
        words.append(":".join([dotted(field(random, 0, 23, 0.2)), dotted(field(random, 0, 59, 0.2)), *seconds]))
    return " ".join(words)


def dotted(word: str) -> str:
    """The ranges of systemd have two dots."""
    return word.replace("-", "..")


GENERATORS: dict[str, Callable[[Random], str]] = {
    "quartz": quartz,
    "aws": aws,
    "spring": spring,
    "node_cron": node_cron,
    "crontab": crontab,
    "on_calendar": on_calendar,
}
