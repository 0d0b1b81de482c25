"""The last program before a child process: ties the child's life to its parent's, then becomes the child.

Run by path as `python -I -S child.py SIGNAL PARENT IDENTITY PROGRAM ARGUMENTS…` (13 ms; standard library only).
SIGNAL is sent by the kernel when the *thread* that started this process ends, also after kill -9. IDENTITY is one of
`same`, `namespace` (look like nobody, in a user namespace: for programs that refuse to be root) and `nobody` (be it).
Source: prctl(2), user_namespaces(7).
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534


def main(argv: list[str]) -> None:
    """Takes the identity, ties the process to its parent, and becomes the program.

    Raises:
        OSError: the kernel refuses; the parent reads it from standard error.
    """
    number, parent, identity, *program = argv
    if identity == "namespace":
        enter_namespace()
    elif identity == "nobody":
        become_nobody()
    tie_to_parent(signal.Signals[number], int(parent))  # last: a change of credentials clears it
    os.execvp(program[0], program)  # noqa: S606 - this is what the program is for


def tie_to_parent(number: signal.Signals, parent: int) -> None:
    """Has the kernel send `number` to this process when the parent ends; ends it at once when that has happened."""
    _call("prctl", PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} has ended")


def enter_namespace() -> None:
    """Makes this process look like nobody to itself; on disk it keeps the rights of who started it."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")


def become_nobody() -> None:
    """Gives up root for good."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
