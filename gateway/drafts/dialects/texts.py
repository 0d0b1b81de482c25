"""Formats that are neither JSON nor YAML: crontabs, systemd timers, and Python modules of Celery and Airflow."""

import re
from collections.abc import Callable, Mapping

from gateway.drafts.dialects.airflow import read_airflow_module
from gateway.drafts.dialects.celery import read_celery_module
from gateway.drafts.dialects.parts import set_from
from gateway.drafts.draft import Draft
from gateway.drafts.habits.names import slug, step_name
from gateway.drafts.tree import Array, Object, Place

_FIELD = r"(?:[\d*,/A-Za-z#?-]+)"
_LINE = re.compile(rf"\s*(?P<time>@[a-z]+|{_FIELD}(?:\s+{_FIELD}){{4}})\s+(?P<rest>\S.*)")
_VARIABLE = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)")
_USER = re.compile(r"(?P<user>[a-z_][a-z0-9_-]*)\s+(?P<command>\S*[/.\w].*)")
_TIMER = re.compile(r"^\s*\[Timer\]\s*$", re.MULTILINE)
_SETTING = re.compile(r"^\s*(?P<key>[A-Za-z]+)\s*=\s*(?P<value>.*?)\s*$")
ZONES = frozenset({"CRON_TZ", "TZ"})
INTERPRETERS = frozenset(
    {"bash", "sh", "python", "python3", "perl", "ruby", "node", "php", "env", "nice", "ionice", "sudo"}
)
PREPARATIONS = frozenset({"cd", "source", ".", "export", "set", "umask", "mkdir", "test", "["})
SYSTEM_USERS = frozenset({"root", "www-data", "nobody", "postgres", "daemon", "backup", "ubuntu", "admin"})


def drafts_of_foreign_text(text: str, form: str) -> list[Draft] | None:
    """The drafts of a text in one of these formats; None if it is another text."""
    for name, (recognises, read) in READERS.items():
        if form == name or (not form and recognises(text)):
            drafts = read(text)
            if drafts:
                return drafts
    return None


def is_crontab(text: str) -> bool:
    """Whether every line is a comment, a variable or a schedule with a command."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    schedules = [line for line in lines if _schedule_of(line)]
    return bool(schedules) and all(_schedule_of(line) or _VARIABLE.fullmatch(line) for line in lines)


def _schedule_of(line: str) -> re.Match[str] | None:
    match = _LINE.fullmatch(line)
    if match is None or (not match["time"].startswith("@") and not re.match(r"[\d*@]", match["time"])):
        return None
    return match


def read_crontab(text: str) -> list[Draft]:
    """One task for each line. What a command does is not known, so the caller chooses a tool."""
    drafts, comment, zone = [], "", ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            comment = stripped.lstrip("# ").strip() if stripped else ""
            continue
        match = _schedule_of(line)
        if match is None:
            variable = _VARIABLE.fullmatch(line)
            if variable and variable["name"] in ZONES:
                zone = variable["value"].strip("\"' ")
            continue
        drafts.append(_cron_line(match, Place(number, 1), comment, zone))
        comment = ""
    _distinct(drafts)
    return drafts


def _cron_line(match: re.Match[str], place: Place, comment: str, zone: str) -> Draft:
    command = match["rest"].strip()
    user = _USER.fullmatch(command)
    if user and (user["user"] in SYSTEM_USERS or user["command"].startswith("/")) and not command.startswith("/"):
        command = user["command"]
    name = _program(command)
    root = Object({"name": slug(name) or "cron-job"}, place)
    draft = Draft(root)
    if comment:
        root["description"] = comment[:1000]
    time = match["time"]
    if time == "@reboot":
        draft.lose(place, "`@reboot`: a task does not start with the machine.")
    else:
        schedule = Object({"triggers": Array([Object({"cron": " ".join(time.split())}, place)], place)}, place)
        set_from(schedule, "time_zone", zone or None, place)
        root["schedule"] = schedule
    _command(draft, root, name, command, place)
    draft.note("Translates the line of the crontab.", place)
    return draft


def _command(draft: Draft, root: Object, name: str, command: str, place: Place) -> None:
    """A step that names the program: what it does has to become a tool."""
    step = Object({"id": step_name(name) or "run", "uses": (step_name(name) or "run").replace("_", ".")}, place)
    root["pipeline"] = Object({"version": 1, "steps": Array([step], place)}, place)
    draft.lose(place, f"The command `{command[:150]}` runs in a shell: choose or register a tool that does the same.")


def _program(command: str) -> str:
    """The name of the program that does the work: of `. ~/.profile && cd /srv && ./run.sh`, `run`."""
    parts = [part.strip(" ()") for part in re.split(r"&&|\|\||;", command)]
    working = [part for part in parts if part and part.split()[0] not in PREPARATIONS]
    first_pipe = (working[-1] if working else command).partition("|")[0]
    words = [word for word in first_pipe.split() if "=" not in word and not word.startswith("-")]
    paths = [word.rpartition("/")[2] for word in words]
    chosen = next((path for path in paths if path and path not in INTERPRETERS and path[0] not in ">2(["), "job")
    return re.sub(r"\.(?:sh|py|pl|rb|js|php)$", "", chosen)


def _distinct(drafts: list[Draft]) -> None:
    used: set[str] = set()
    for draft in drafts:
        name, number = str(draft.root["name"]), 1
        while draft.root["name"] in used:
            number += 1
            draft.root["name"] = f"{name}-{number}"
        used.add(str(draft.root["name"]))


def is_timer(text: str) -> bool:
    """Whether the text is a unit file with a section `[Timer]`."""
    return bool(_TIMER.search(text))


def read_timer(text: str) -> list[Draft]:
    """The task of a systemd timer. What its unit does is not known, so the caller chooses a tool."""
    root, section = Object(place=Place(1, 1)), ""
    draft = Draft(root)
    triggers, schedule, unit = Array(place=Place(1, 1)), Object(place=Place(1, 1)), ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped, place = line.strip(), Place(number, 1)
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.startswith("["):
            section = stripped.strip("[]")
            continue
        match = _SETTING.fullmatch(line)
        if match is None:
            continue
        key, value = match["key"], match["value"]
        if section == "Unit" and key == "Description":
            set_from(root, "description", value, place)
        elif section == "Timer" and key == "Unit":
            unit = value
        elif section == "Timer" and not _timer_setting(key, value, place, triggers, schedule):
            draft.lose(place, f"`{key}={value}` of the timer cannot be carried over.")
    if triggers:
        root["schedule"] = Object({"triggers": triggers, **schedule}, triggers[0].place)
    name = (unit or str(root.get("description", "timer"))).removesuffix(".service").removesuffix(".timer")
    root["name"] = slug(name)[:60] or "timer"
    step = Object({"id": step_name(name)[:40] or "run", "uses": unit.removesuffix(".service") or "unit"}, root.place)
    root["pipeline"] = Object({"version": 1, "steps": Array([step], root.place)}, root.place)
    draft.lose(
        root.place, f"What {unit or 'the unit of the timer'} does: choose or register a tool that does the same."
    )
    draft.note("Translates the timer of systemd.", root.place)
    return [draft]


def _timer_setting(key: str, value: str, place: Place, triggers: Array, schedule: Object) -> bool:
    """Adds one setting to the triggers or the schedule; False if it cannot be carried over."""
    if key == "OnCalendar":
        triggers.append(Object({"cron": value}, place))
    elif key == "OnUnitActiveSec":
        triggers.append(Object({"interval": _span(value)}, place))
    elif key == "RandomizedDelaySec":
        set_from(schedule, "jitter", _span(value), place)
    elif key == "Persistent":
        policy = "LATEST" if value.lower() in {"true", "yes", "1", "on"} else "NONE"
        set_from(schedule, "catch_up", Object({"policy": policy}, place), place)
    else:
        return False
    return True


def _span(value: str) -> str:
    return f"{value}s" if value.isdigit() else value


def _module(read: Callable[[str], Object | None]) -> Callable[[str], list[Draft]]:
    def drafts(text: str) -> list[Draft]:
        tree = read(text)
        return [] if tree is None else [Draft(tree)]

    return drafts


READERS: Mapping[str, tuple[Callable[[str], bool], Callable[[str], list[Draft]]]] = {
    "systemd": (is_timer, read_timer),
    "crontab": (is_crontab, read_crontab),
    "celery": (
        lambda text: bool(
            re.search(r"^\s*(?:\w+\.conf\.)?(?:beat_schedule|CELERY\w*BEAT_SCHEDULE)\s*=", text, re.MULTILINE)
        ),
        _module(read_celery_module),
    ),
    "airflow": (
        lambda text: bool(re.search(r"^\s*(?:from|import)\s+airflow", text, re.MULTILINE)),
        _module(read_airflow_module),
    ),
}
