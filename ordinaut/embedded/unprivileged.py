"""Runs PostgreSQL, which refuses to run as root, for root: in a user namespace, else as user nobody."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from ordinaut.embedded.launcher import NOBODY
from ordinaut.embedded.process import Identity, command


async def identity_for_postgres() -> Identity:
    """`same` for a normal user; for root `namespace`, or `nobody` if the kernel refuses namespaces (containers)."""
    if os.geteuid() != 0:
        return "same"
    return "namespace" if await _works("namespace", ["true"]) else "nobody"


async def prepare(folder: Path, programs: Path, identity: Identity) -> Path:
    """Gives `identity` access to the data folder and the programs.

    Returns:
        The folder of the programs: a copy inside `folder` if user nobody cannot execute the installed ones.

    Raises:
        PermissionError: user nobody cannot access the data folder.
    """
    if os.geteuid() == 0:
        _give(folder, NOBODY if identity == "nobody" else 0)
    if identity != "nobody":
        return programs
    if not await _works(identity, ["test", "-x", str(folder)]):
        raise PermissionError(
            f"PostgreSQL runs as user nobody, which cannot access {folder}: choose another data folder"
        )
    if await _works(identity, [str(programs / "postgres"), "--version"]):
        return programs
    return await asyncio.to_thread(_copy, programs, folder)


async def _works(identity: Identity, argv: list[str]) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command(argv, signal.SIGKILL, identity), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return await process.wait() == 0


def _give(folder: Path, uid: int) -> None:
    if folder.stat().st_uid == uid:
        return
    for place, names, files in os.walk(folder):
        for name in [*names, *files]:
            os.chown(Path(place) / name, uid, uid, follow_symlinks=False)
    os.chown(folder, uid, uid)  # last, because it marks the change as complete


def _copy(programs: Path, folder: Path) -> Path:
    package = programs.parent.parent
    target = folder / "programs"
    shutil.rmtree(target, ignore_errors=True)
    for source in (package, package.with_name(package.name + ".libs")):  # the programs load libraries from there
        if source.exists():
            shutil.copytree(source, target / source.name, symlinks=True)
    _give(target, NOBODY)
    return target / package.name / "pginstall" / "bin"
