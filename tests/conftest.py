"""What the whole test session shares: its temporary folder, and how xdist divides the tests among its processes."""

import os
import tempfile
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.sample import FULL
from tests.temporary import session_folder

settings.register_profile("suite", deadline=None, max_examples=100 if FULL else 25)  # the machine may be busy
settings.load_profile("suite")

SESSION = pytest.StashKey[ExitStack]()
ACCEPTANCE = "tests/acceptance/test_"
# These share one running system, so one process takes them: to start it costs more than many of them.
SHARED_SYSTEM = {
    f"{ACCEPTANCE}{name}": group
    for group, names in {
        "a system that is killed": ("killed_at", "a_poison", "waiting", "work"),
        "another system that is killed": ("finally", "a_long_loop", "children", "side_by_side", "unsafe"),
        "a system that nobody harms": ("a_replay", "first_contact", "foreign_clients", "openapi", "wheels"),
    }.items()
    for name in names
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Servers and sockets go to the session's folder, the files of a test (`tmp_path`) to where they always go."""
    if hasattr(config, "workerinput"):
        return  # a process of xdist has it from the environment
    config.stash[SESSION] = stack = ExitStack()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = str(stack.enter_context(session_folder()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the session's folder."""
    if SESSION in config.stash:
        config.stash[SESSION].close()


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """The tests of a file go to one process, in the order of the files: what waits longest begins first.

    After the end of a process by a signal its base class waits without end: for a unit in which all is done, or for
    a process that runs a test only when it knows the next one.
    """

    def _split_scope(self, nodeid: str) -> str:
        groups = [group for beginning, group in SHARED_SYSTEM.items() if nodeid.startswith(beginning)]
        return groups[0] if groups else nodeid.partition("::")[0]

    def _reschedule(self, node: Any) -> None:
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)

    def remove_node(self, node: Any) -> Any:
        work = self.assigned_work[node]
        self.assigned_work[node] = {scope: unit for scope, unit in work.items() if not all(unit.values())}
        return super().remove_node(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Used whatever `--dist` says."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
