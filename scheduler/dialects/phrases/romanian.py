"""The productions of Romanian phrases, without diacritics. `<kind>` is a placeholder, as in English."""

import re

from scheduler.dialects.words import ROMANIAN_MONTHS, ROMANIAN_WEEKDAYS

NUMBERS = {
    "o": 1, "un": 1, "una": 1, "unu": 1, "doua": 2, "doi": 2, "trei": 3, "patru": 4, "cinci": 5, "sase": 6, "sapte": 7,
    "opt": 8, "noua": 9, "zece": 10, "unsprezece": 11, "doisprezece": 12, "douasprezece": 12, "cincisprezece": 15,
    "douazeci": 20, "treizeci": 30, "patruzeci si cinci": 45,
}  # fmt: skip
ORDINALS = {
    "prima": 1, "a doua": 2, "a 2-a": 2, "a treia": 3, "a 3-a": 3, "a patra": 4, "a 4-a": 4, "a cincea": 5, "a 5-a": 5,
    "ultima": -1,
}  # fmt: skip
UNITS = {
    "secunda": "second", "secunde": "second", "minut": "minute", "minute": "minute", "min": "minute", "ora": "hour",
    "ore": "hour", "zi": "day", "zile": "day", "saptamana": "week", "saptamani": "week", "luna": "month",
    "luni": "month", "an": "year", "ani": "year",
}  # fmt: skip
SINGULAR = ("secunda", "minut", "ora", "zi", "saptamana", "luna", "an")
CLOCK_WORDS = {"amiaza": 12 * 3600, "pranz": 12 * 3600, "miezul noptii": 0}
DAYS_AHEAD = {"azi": 0, "astazi": 0, "maine": 1, "poimaine": 2}
DAY_PARTS = {"dimineata": "morning", "seara": "evening", "noapte": "night"}
TIMES_PER = {"o data": 1}
WEEKDAYS, MONTHS = ROMANIAN_WEEKDAYS, ROMANIAN_MONTHS
PLURAL = ""
FROM, TO, AND = "de la|de", "pana la|pana|la", "si|sau"

REPEATED = re.compile(r"fiecare|(?:[nrt]ea|joia)$|lunii$|luna$")

_OF_MONTH = r"(?:(?:a|ale|al|din) (?:lunii|luna|(?:fiecarei|fiecare) luni|fiecare luna))"
PRODUCTIONS = {
    "adverb": r"(?P<adverb>zilnic|saptamanal|lunar|anual)|(?P<from_to>din (?:ora in ora|minut in minut))",
    "every_unit": r"(?:in |o data pe |la )?fiecare <single>|o data pe <single>",
    "every_number": r"(?:o data )?(?:la |in )(?:fiecare )?<number>(?: de)? <unit>"
    r"|din <number> in <repeated>(?: de)? <unit>",
    "half_hour": r"(?:la |in )(?:fiecare )?(?P<half>jumatate|sfert)(?: de)? ora",
    "workdays": r"(?:in |de )?(?:fiecare zi lucratoare|(?:toate )?zilele (?:lucratoare|de lucru)|zile lucratoare)",
    "weekend": r"(?:in |la )?(?:fiecare |sfarsit de |sfarsitul de )?(?:week-?end(?:uri|ul|urile)?)",
    "weekdays": r"(?:in |doar |numai )?(?:fiecare |zilele de |ziua de |fiecare zi de )?<weekdays>",
    "numbered_weekday": rf"(?:in |pe )?<ordinals>(?: zi de)? <weekday> {_OF_MONTH}",
    "last_day": rf"(?:in |pe )?ultima zi {_OF_MONTH}|la sfarsitul (?:lunii|fiecarei luni)",
    "edge_workday": rf"(?:in |pe )?(?P<edge>prima|ultima) zi lucratoare {_OF_MONTH}",
    "month_days": rf"(?:in |pe )(?:data de |datele de )?<numbers> {_OF_MONTH}|pe (?:data de |datele de )?<numbers>",
    "numbered_days": rf"(?:in |pe )(?:ziua|zilele)(?: de)? <numbers> {_OF_MONTH}",
    "date_of_year": r"(?:in fiecare an )?(?:pe|la|in) (?:data de )?<nth> <month>",
    "full_date": r"(?:pe|la|in)? ?(?:data de )?<nth> <month> <year>",
    "months": r"(?:in )(?:luna |lunile |fiecare )?<months>",
    "at_times": r"(?:la|de la|ora|orele) (?:ora |orele )?<times>",
    "clear_times": r"<clear_times>",
    "window": r"(?:intre|de la) (?:ora |orele )?<low> (?:si|pana la|la|-) (?:ora |orele )?<high>",
    "at_minutes": r"la (?:minutul|minutele) <numbers> (?:al|ale) fiecarei ore",
    "at_minutes_of_hours": r"la (?:minutul|minutele) <numbers> (?:al|ale) orelor <more_numbers>",
    "on_the_hour": r"la fix",
    "times_per": r"(?:<times_per>|de <number> ori) pe <unit>",
    "day_part": r"(?:in )?fiecare <day_part>",
    "days_ahead": r"<days_ahead>(?: dimineata)?",
    "next_weekday": r"<weekday> (?:viitoare|urmatoare|care vine)",
    "after_span": r"peste <number>(?: de)? <unit>",
    "on_date": r"(?:o singura data,? )?(?:la |pe |in )?(?:data de )?<date>",
    "zone": r"(?:,? ?dupa ora din |,? ?\(?)<zone>\)?",
}
OPENING = r"(?:ruleaza )"
EXAMPLES = (
    "în fiecare zi la 9:00",
    "zilnic la 08:30",
    "în zilele lucrătoare la 9:00",
    "luni și joi la 18:30",
    "de luni până vineri la 8:00",
    "prima luni din lună la 8:30",
    "ultima zi a lunii la 18:00",
    "pe 1 și 15 ale lunii la 9:00",
    "la fiecare două ore",
    "la fiecare 15 minute",
    "în fiecare oră",
    "mâine la 9:00",
    "peste 2 ore",
)
