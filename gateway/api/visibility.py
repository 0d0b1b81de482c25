"""Limits lists to what the globs of the caller's token cover.

The condition is part of the statement. Rows that are read and left out afterwards would show: pages would be shorter,
and a page token names the last row that was read, so a filter could ask about resources that the caller may not see.
"""

from fnmatch import fnmatchcase

from gateway.authentication.caller import Caller
from ordinaut.names import WITHOUT_TASK, globs_of
from ordinaut.store.selection import EVERYTHING, Condition, Every, Like, like_of


def within_globs(condition: Condition, caller: Caller, scope: str, field: str, collection: str) -> Condition:
    """The condition, and that `field`, a name in `collection` (`tools/`), is one that `scope` covers.

    The name of a run or an approval without a task is the collection alone.
    """
    globs = globs_of(caller.scopes, scope)
    if globs is None:
        return condition
    patterns = [collection + like_of(glob) for glob in globs]
    patterns += [collection] * any(fnmatchcase(WITHOUT_TASK, glob) for glob in globs)
    visible = Like(field, patterns)
    return visible if condition == EVERYTHING else Every((condition, visible))
