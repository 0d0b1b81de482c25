"""Schedules in Romanian."""

from collections.abc import Sequence
from typing import ClassVar

from scheduler.description.language import Language

# Singular with `fiecare`, plural.
_UNITS = {
    "second": ("secundă", "secunde"),
    "minute": ("minut", "minute"),
    "hour": ("oră", "ore"),
    "day": ("zi", "zile"),
    "week": ("săptămână", "săptămâni"),
    "month": ("lună", "luni"),
    "year": ("an", "ani"),
}


class Romanian(Language):
    """Romanian, with its diacritics."""

    code: ClassVar[str] = "ro"
    weekday_names: ClassVar[Sequence[str]] = ("luni", "marți", "miercuri", "joi", "vineri", "sâmbătă", "duminică")
    month_names: ClassVar[Sequence[str]] = (
        "ianuarie", "februarie", "martie", "aprilie", "mai", "iunie", "iulie", "august", "septembrie", "octombrie",
        "noiembrie", "decembrie",
    )  # fmt: skip
    both: ClassVar[str] = "și"
    either: ClassVar[str] = "sau"
    last: ClassVar[str] = "ultima zi"

    def runs(self, what: str) -> str:
        """`Rulează în fiecare zi.`."""
        return f"Rulează {what}."

    def every(self, unit: str, number: int) -> str:
        """`la fiecare 20 de minute`."""
        singular, plural = _UNITS[unit]
        return f"în fiecare {singular}" if number == 1 else f"la fiecare {_counted(number, plural)}"

    def at(self, times: Sequence[str]) -> str:
        """`la 07:30 și 19:30`."""
        return f"la {self.listed(times)}"

    def between(self, first: str, last: str) -> str:
        """`de la 09:00 până la 17:45`."""
        return f"de la {first} până la {last}"

    def at_minutes(self, minutes: Sequence[int], hours: Sequence[int] | None) -> str:
        """`la minutul 5 al fiecărei ore`."""
        name = "minutul" if len(minutes) == 1 else "minutele"
        of = "al" if len(minutes) == 1 else "ale"
        whose = "fiecărei ore" if hours is None else f"orelor {self.numbers(hours)}"
        return f"la {name} {self.numbers(minutes)} {of} {whose}"

    def in_hours(self, hours: Sequence[int]) -> str:
        """`în orele 9-17`."""
        return f"în orele {self.numbers(hours)}" if len(hours) > 1 else f"în ora {hours[0]}"

    def weekdays(self, days: Sequence[int]) -> str:
        """`în zilele de luni și vineri`."""
        if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
            return f"de {self.weekday_names[days[0]]} până {self.weekday_names[days[-1]]}"
        names = self.listed([self.weekday_names[day] for day in days])
        return f"în zilele de {names}" if len(days) > 1 else f"în fiecare {names}"

    def month_days_on(self, days: Sequence[int], weekdays: Sequence[int]) -> str:
        """`în zilele 1-7 ale lunii, dar numai luni,`."""
        names = self.weekdays(weekdays).removeprefix("în fiecare ")
        return f"{self.month_days(days)}, dar numai {names},"

    def month_days(self, days: Sequence[int]) -> str:
        """`în zilele 1 și 15 ale lunii`."""
        from_start = [day for day in days if day > 0]
        parts = []
        if from_start:
            parts.append(f"{'ziua' if len(from_start) == 1 else 'zilele'} {self.numbers(from_start)}")
        parts += [self.last if day == -1 else f"a {-day}-a zi de la sfârșit" for day in days if day < 0]
        single = len(days) == 1
        return f"în {self.listed(parts)} {'a' if single and days[0] > 0 else 'ale' if not single else 'a'} lunii"

    def months(self, months: Sequence[int]) -> str:
        """`în ianuarie și martie`."""
        return f"în {self.listed([self.month_names[month - 1] for month in months])}"

    def nth_weekday(self, nth: int, weekday: int, *, of_year: bool) -> str:
        """`în ultima zi de vineri a lunii`."""
        whose = "anului" if of_year else "lunii"
        day = f"zi de {self.weekday_names[weekday]}"
        if nth == -1:
            return f"în ultima {day} a {whose}"
        place = "prima" if abs(nth) == 1 else f"a {abs(nth)}-a"
        return f"în {place} {day} {'de la sfârșitul ' + whose if nth < 0 else 'a ' + whose}"

    def moved_days(self, *, backward: bool) -> str:
        """`(în lunile mai scurte în ultima zi)`."""
        return f"(în lunile mai scurte {'în ultima zi' if backward else 'în ziua de după ultima'})"

    def year_days(self, days: Sequence[int]) -> str:
        """`în ziua 100 a anului`."""
        return f"în {'ziua' if len(days) == 1 else 'zilele'} {self.numbers(days)} din an"

    def weeks(self, weeks: Sequence[int]) -> str:
        """`în săptămâna 20 din an`."""
        return f"în {'săptămâna' if len(weeks) == 1 else 'săptămânile'} {self.numbers(weeks)} din an"

    def positions(self, places: Sequence[int]) -> str:
        """`numai ultima dintre ele`."""
        names = [
            "ultima" if place == -1 else f"a {abs(place)}-a{' de la sfârșit' if place < 0 else ''}" for place in places
        ]
        return f"numai {self.listed(names)} dintre ele"

    def once(self, when: str) -> str:
        """`o singură dată, la 2026-07-01 12:00`."""
        return f"o singură dată, la {when}"

    def on_event(self, topic: str, *, conditional: bool) -> str:
        """`când sosește un eveniment mail.*`."""
        return f"când sosește un eveniment {topic}{' care îndeplinește condiția' if conditional else ''}"

    def never(self) -> str:
        """`numai la cerere`."""
        return "numai la cerere"

    def since(self, when: str) -> str:
        """`începând cu 2026-06-01 09:00`."""
        return f"începând cu {when}"

    def until(self, when: str) -> str:
        """`până la 2026-12-24 00:00`."""
        return f"până la {when}"

    def times(self, number: int) -> str:
        """`de 10 ori în total`."""
        return "o dată în total" if number == 1 else f"de {_counted(number, 'ori')} în total"

    def without(self, days: Sequence[str], rules: Sequence[str]) -> str:
        """`cu excepția zilei 2026-12-25`."""
        parts = [f"{'ziua' if len(days) == 1 else 'zilele'} {self.listed(days)}"] if days else []
        return f"cu excepția: {self.listed([*parts, *rules])}"

    def more_dates(self, added: int, removed: int) -> str:
        """`cu date separate: 2 adăugate`."""
        parts = [f"{added} adăugate"] if added else []
        return f"cu date separate: {self.listed([*parts, *([f'{removed} omise'] if removed else [])])}"

    def later(self, span: str) -> str:
        """`pornind cu cel mult 10 min mai târziu`."""
        return f"pornind cu cel mult {span} mai târziu"

    def newest_missed(self, span: str) -> str:
        """`După o întrerupere, cea mai nouă ocurență ratată rulează, cu cel mult 24 h întârziere.`."""
        return f"După o întrerupere, cea mai nouă ocurență ratată rulează, {_late(span)}."

    def all_missed(self, number: int, span: str) -> str:
        """`După o întrerupere, cele mai noi 100 de ocurențe ratate rulează, oricât ar întârzia.`."""
        return f"După o întrerupere, cele mai noi {_counted(number, 'ocurențe')} ratate rulează, {_late(span)}."

    def none_missed(self) -> str:
        """`După o întrerupere, ocurențele ratate nu rulează.`."""
        return "După o întrerupere, ocurențele ratate nu rulează."

    def in_zone(self, zone: str) -> str:
        """`după ora din Europe/Chisinau`."""
        return f"după ora din {zone}"


def _late(span: str) -> str:
    return f"cu cel mult {span} întârziere" if span else "oricât ar întârzia"


def _counted(number: int, many: str) -> str:
    """From twenty on a number takes `de`."""
    return f"{number} de {many}" if number % 100 == 0 or number % 100 >= 20 else f"{number} {many}"
