"""Decides whether a name is certainly a misspelling of another one: only then a fix may replace it."""

import re
from collections.abc import Collection

WORDS = re.compile(r"[a-z0-9]+")
SHORT, MIDDLE, LONG = 3, 5, 8  # letters from which one mistake, one also in the first letter, and two are allowed
# A name with another of these words means something else, however similar it is.
MEANINGFUL = frozenset(
    """
    get put set add end new old start stop on off from to in out min max first last before after next prev
    include exclude enable disable enabled disabled allow deny send read write load save list lists create
    update delete remove insert upsert patch post fetch find search open close lock unlock push pull emit wait
    sleep fail pass true false all any none some not no yes test prod dev daily weekly monthly yearly hourly
    week month day hour minute second year date time name id key value user host port left right up down top
    bottom high low asc desc user group draft sent sell buy debit credit cancel resume pause retry replay copy
    move merge join split print count sum total avg mean median newest oldest latest earliest
    """.split()  # noqa: SIM905 - a list of one word a line is unreadable
)


def misspelled(name: str, candidates: Collection[str]) -> str | None:
    """The only candidate that `name` can be a misspelling of; None if it may be another word, or is not similar.

    >>> misspelled("calender.list_events", ["calendar.list_events", "calendar.list_tasks"])
    'calendar.list_events'
    >>> misspelled("orchestrator.set_state", ["orchestrator.get_state"]), misspelled("step_1", ["step_2"])
    (None, None)
    """
    plain = _plain(name)
    same = [candidate for candidate in candidates if _plain(candidate) == plain]
    if same:
        return same[0] if len(same) == 1 else None
    allowed = 0 if len(plain) < SHORT else 1 if len(plain) < LONG else 2
    near = sorted((distance(plain, _plain(candidate), allowed), candidate) for candidate in candidates)
    if not near or near[0][0] > allowed or (len(near) > 1 and near[1][0] == near[0][0]):
        return None
    if len(plain) < MIDDLE and plain[:1] != _plain(near[0][1])[:1]:
        return None
    return near[0][1] if _is_typing_mistake(name, near[0][1]) else None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())


def _is_typing_mistake(name: str, candidate: str) -> bool:
    """Whether the differing words are not words of their own, and no digit differs."""
    written, meant = _words(name), _words(candidate)
    if re.sub(r"\D", "", name) != re.sub(r"\D", "", candidate):
        return False
    return not any(word in MEANINGFUL for word in written if word not in meant)


def _words(name: str) -> list[str]:
    return WORDS.findall(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def distance(first: str, second: str, limit: int) -> int:
    """The number of letters inserted, removed, replaced or exchanged with their neighbour; `limit` + 1 if more.

    >>> distance("newset", "newest", 2), distance("latest", "oldest", 2)
    (1, 3)
    """
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        before, row, above = row, [i], before
        for j, other in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)
