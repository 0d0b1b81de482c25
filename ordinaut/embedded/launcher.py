"""Prepares a child process and executes its program: the child ends when its parent ends.

Run by path as `python -I -S launcher.py SIGNAL PARENT IDENTITY PROGRAM ARGUMENTS…` (13 ms; standard library only).
The kernel sends SIGNAL when the *thread* that started this process ends, also after kill -9. IDENTITY is `same`,
`namespace` (appear as user nobody in a user namespace, for programs that refuse to run as root) or `nobody` (run as
user nobody). Source: prctl(2), user_namespaces(7).
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
    """Assumes the identity, sets the parent-death signal, and executes the program.

    Raises:
        OSError: the kernel refuses; the parent reads the message from standard error.
    """
    number, parent, identity, *program = argv
    if identity == "namespace":
        enter_namespace()
    elif identity == "nobody":
        become_nobody()
    tie_to_parent(signal.Signals[number], int(parent))  # last, because a change of credentials clears the signal
    os.execvp(program[0], program)  # noqa: S606 - the purpose of this program


def tie_to_parent(number: signal.Signals, parent: int) -> None:
    """Makes the kernel send `number` to this process when the parent ends; exits if the parent has already ended."""
    _call("prctl", PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} has ended")


def enter_namespace() -> None:
    """Makes the process appear as user nobody to itself; its file permissions remain those of the real user."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")


def become_nobody() -> None:
    """Drops root privileges permanently."""
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
