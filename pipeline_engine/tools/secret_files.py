"""Secrets as files: `<folder>/<project>/<name>`, reread whenever they change. Only the engine reads their values."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ordinaut.names import RESOURCE_ID, SECRET
from ordinaut.telemetry import get_logger
from pipeline_engine.tools.secret_bindings import MAX_BINDING_BYTES, Destination, read_binding

log = get_logger()

MIN_CHARACTERS = 8
"""Shorter values occur in ordinary text by chance, and masking would corrupt a tool's output."""
MAX_BYTES = 4096
NOT_BOUND = "SECRET_NOT_BOUND"


class SecretError(Exception):
    """A secret cannot be used; the message contains the reason and never the value."""

    def __init__(self, name: str, reason: str, kind: str = "SECRET_UNAVAILABLE") -> None:
        super().__init__(f"the secret {name} {reason}")
        self.name = name
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """The text of a file, and the modification time, inode and size that it was read with."""

    version: tuple[int, ...]
    text: str


class SecretFiles:
    """The secrets of all projects in one folder; without a folder, no secret exists.

    A secret without a binding may go everywhere; with `unbound` "warn" this is logged once, with "refuse" it may not be
    used. Files and folders of this user that others may read or write are made private; those of another user that
    others may write are refused.
    """

    def __init__(self, folder: Path | None, unbound: Literal["warn", "refuse"] = "warn") -> None:
        self._folder = folder
        self._refuse_unbound = unbound == "refuse"
        self._warned: set[Path] = set()
        self._cache: dict[Path, _CachedFile] = {}

    def get(self, project: str, name: str) -> str:
        """Returns a secret's current value without a trailing line end.

        Raises:
            SecretError: the secret does not exist, or its file is unusable.
        """
        if self._folder is None or not SECRET.fullmatch(name) or not RESOURCE_ID.fullmatch(project):
            raise SecretError(name[:64], "does not exist")
        path = self._folder / project / name
        try:
            for place in (self._folder, path.parent, path):
                make_private(place)
            return self._current(path, MAX_BYTES)
        except FileNotFoundError:
            raise SecretError(name, "does not exist") from None
        except UnicodeDecodeError:
            raise SecretError(name, "is not valid UTF-8") from None
        except OSError as failure:
            raise SecretError(name, f"cannot be read: {failure.strerror}") from None
        except ValueError as problem:
            raise SecretError(name, str(problem)) from None

    def check_destination(self, project: str, name: str, destination: Destination, place: str) -> None:
        """Requires that a secret may go to a destination, in the place AUTH or WITH.

        Raises:
            SecretError: SECRET_NOT_BOUND: its binding does not permit it, is not readable, or is required and missing.
        """
        if self._folder is None or not SECRET.fullmatch(name) or not RESOURCE_ID.fullmatch(project):
            return  # `get` raises: it does not exist
        path = self._folder / project / f"{name}.binding.json"
        try:
            make_private(path)
            binding = read_binding(self._current(path, MAX_BINDING_BYTES).encode())
        except FileNotFoundError:
            self._check_unbound(path, project, name)
            return
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            raise SecretError(name, f"has an unusable binding: {reason}", NOT_BOUND) from None
        if not binding.permits(destination, place):
            raise SecretError(name, f"may not go to this tool and host in {place}", NOT_BOUND)

    def _check_unbound(self, path: Path, project: str, name: str) -> None:
        if self._refuse_unbound:
            raise SecretError(name, "has no binding, which ORDINAUT_UNBOUND_SECRETS requires", NOT_BOUND)
        if path not in self._warned:
            self._warned.add(path)
            log.warning("secret_without_binding", project=project, secret=name)

    def _current(self, path: Path, max_bytes: int) -> str:
        status = path.stat()  # follows symbolic links: Kubernetes updates a mounted secret by replacing one
        version = (status.st_mtime_ns, status.st_ino, status.st_size)
        cached = self._cache.get(path)
        if cached is None or cached.version != version:
            cached = self._cache[path] = _CachedFile(version, _read_file(path, status.st_size, max_bytes))
        return cached.text


def make_private(path: Path) -> None:
    """Removes the rights of other users from a file or folder of this user.

    Raises:
        ValueError: it belongs to another user and others may write it; a mounted secret may be readable for all.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.geteuid():
        if mode & 0o077:
            path.chmod(mode & 0o700)
    elif mode & 0o022 and not mode & stat.S_ISVTX:
        raise ValueError("is in a file or folder of another user that others may write")


def _read_file(path: Path, size: int, max_bytes: int) -> str:
    if size > max_bytes:
        raise ValueError(f"must be at most {max_bytes} bytes (got {size})")
    text = path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    if len(text) < MIN_CHARACTERS or "\0" in text:
        raise ValueError(f"must have at least {MIN_CHARACTERS} characters and no NUL")
    return text
