"""The question for the time zone of a schedule that names none."""

from gateway.drafts.draft import Ask, Option

# One zone of each region that has many people; every other IANA name is accepted as an answer.
COMMON = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Bucharest",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Africa/Johannesburg",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
)
TIME_ZONE = "schedule.time_zone"


def zone_question(prefix: str, suggested: str) -> Ask:
    """Asks for the zone of local times; `suggested` is the caller's zone, if known.

    >>> zone_question("", "Europe/Rome").default
    'Europe/Rome'
    """
    names = list(dict.fromkeys([*([suggested] if suggested else []), *COMMON]))
    options = [Option(name, f"local times in {name}", patch=[setting(name)]) for name in names]
    text = "In which time zone are the local times of the schedule? Every IANA name is an answer."
    return Ask(prefix + TIME_ZONE, text, options, suggested)


def setting(name: str) -> dict[str, str]:
    """The operation that sets the zone of a task."""
    return {"op": "add", "path": "/schedule/time_zone", "value": name}
