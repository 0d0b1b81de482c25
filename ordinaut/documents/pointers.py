"""Converts between paths in messages to people (`steps[2].if`) and JSON pointers (RFC 6901, `/steps/2/if`)."""

import re
from ast import literal_eval
from collections.abc import Sequence

PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
STEP = re.compile(r"\[(\d+)\]|\[('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]|\.?([^.\[]+)")
Steps = tuple[str | int, ...]


def key_path(path: str, key: str) -> str:
    """The path of `key` inside `path`; a key that is not an identifier is quoted.

    >>> key_path("labels", "team"), key_path("data", "a.b"), key_path("", "name")
    ('labels.team', "data['a.b']", 'name')
    """
    if not PLAIN_KEY.fullmatch(key):
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def steps_of(path: str) -> Steps:
    """The keys and indices of a path.

    >>> steps_of("task.labels['a.b'].items[3]")
    ('task', 'labels', 'a.b', 'items', 3)
    """
    return tuple(
        int(index) if index else literal_eval(quoted) if quoted else key for index, quoted, key in STEP.findall(path)
    )


def path_of(steps: Sequence[str | int]) -> str:
    """The path of keys and indices, the inverse of `steps_of`."""
    path = ""
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else key_path(path, step)
    return path


def pointer_of(path: str) -> str:
    """The JSON pointer of a path.

    >>> pointer_of("steps[0].with['a/b']")
    '/steps/0/with/a~1b'
    """
    return pointer(steps_of(path))


def pointer(steps: Sequence[str | int]) -> str:
    """The JSON pointer of keys and indices."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def words_of(text: str) -> tuple[str, ...]:
    """The reference tokens of a JSON pointer; indices stay text.

    >>> words_of("/steps/0/a~1b")
    ('steps', '0', 'a/b')
    """
    return tuple(word.replace("~1", "/").replace("~0", "~") for word in text.split("/")[1:])
