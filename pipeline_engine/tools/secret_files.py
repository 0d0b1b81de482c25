"""Secrets as files: `<folder>/<project>/<name>`, reread whenever they change. Only the engine reads their values."""

from dataclasses import dataclass
from pathlib import Path

from ordinaut.names import RESOURCE_ID, SECRET

MIN_CHARACTERS = 8
"""Shorter values occur in ordinary text by chance, and masking would corrupt a tool's output."""
MAX_BYTES = 4096


class SecretError(Exception):
    """A secret cannot be used; the message contains the reason and never the value."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the secret {name} {reason}")
        self.name = name


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """The text of a file, and the modification time, inode and size that it was read with."""

    version: tuple[int, ...]
    text: str


class SecretFiles:
    """The secrets of all projects in one folder; without a folder, no secret exists."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
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
            return self._current(path)
        except FileNotFoundError:
            raise SecretError(name, "does not exist") from None
        except UnicodeDecodeError:
            raise SecretError(name, "is not valid UTF-8") from None
        except OSError as failure:
            raise SecretError(name, f"cannot be read: {failure.strerror}") from None
        except ValueError as problem:
            raise SecretError(name, str(problem)) from None

    def _current(self, path: Path) -> str:
        status = path.stat()  # follows symbolic links: Kubernetes updates a mounted secret by replacing one
        version = (status.st_mtime_ns, status.st_ino, status.st_size)
        cached = self._cache.get(path)
        if cached is None or cached.version != version:
            cached = self._cache[path] = _CachedFile(version, _read_file(path, status.st_size))
        return cached.text


def _read_file(path: Path, size: int) -> str:
    if size > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes (got {size})")
    text = path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    if len(text) < MIN_CHARACTERS or "\0" in text:
        raise ValueError(f"must have at least {MIN_CHARACTERS} characters and no NUL")
    return text
