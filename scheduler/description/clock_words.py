"""Times of day in words."""

from collections.abc import Sequence
from datetime import time

from scheduler.description.language import Language
from scheduler.triggers.localtime.clock_grid import ALL_HOURS

MAX_TIMES = 6


def clock(minutes: Sequence[int], hours: Sequence[int], language: Language, seconds: Sequence[int] = (0,)) -> str:
    """The times of day, as a list if they are few, else by their pattern without seconds."""
    if len(minutes) * len(hours) * len(seconds) <= MAX_TIMES:
        times = [time(hour, minute, second) for hour in hours for minute in minutes for second in seconds]
        precision = "minutes" if tuple(seconds) == (0,) else "seconds"
        return language.at([clock_time.isoformat(precision) for clock_time in times])
    every_hour = tuple(hours) == ALL_HOURS
    step = _step(minutes, 60)
    if step and every_hour:
        return language.every("minute", step)
    if step and hours[-1] - hours[0] == len(hours) - 1:
        pattern = language.every("minute", step)
        return f"{pattern} {language.between(f'{hours[0]:02}:{minutes[0]:02}', f'{hours[-1]:02}:{minutes[-1]:02}')}"
    if len(minutes) == 1 and not every_hour and (hourly := _step(hours, 24)):
        return f"{language.every('hour', hourly)} {language.between(f'{0:02}:{minutes[0]:02}', _last(hours, minutes))}"
    return language.at_minutes(minutes, None if every_hour else hours)


def _last(hours: Sequence[int], minutes: Sequence[int]) -> str:
    return f"{hours[-1]:02}:{minutes[-1]:02}"


def _step(values: Sequence[int], size: int) -> int:
    """The step of values that are evenly spaced from 0 on; 0 if they are not."""
    step = values[1] - values[0] if len(values) > 1 else size
    return step if size % step == 0 and tuple(values) == tuple(range(0, size, step)) else 0
