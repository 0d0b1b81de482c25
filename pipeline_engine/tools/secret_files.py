"""Secrets as files: `<folder>/<project>/<name>`, read anew whenever they change. Nothing else knows their values."""

from dataclasses import dataclass
from pathlib import Path

from ordinaut.names import RESOURCE_ID, SECRET

MIN_CHARACTERS = 8
"""Shorter ones stand in ordinary text by chance, and could not be told apart from it in answers."""
MAX_BYTES = 4096


class SecretError(Exception):
    """A secret cannot be used; the text says why and holds nothing of it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the secret {name} {why}")
        self.name = name


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was when it was read."""

    version: tuple[int, ...]
    text: str


class SecretFiles:
    """The secrets of every project under one folder; without a folder there are none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._read: dict[Path, _Read] = {}

    def get(self, project: str, name: str) -> str:
        """A secret's present value; a line end at its end is not part of it.

        Raises:
            SecretError: there is none of that name, or its file cannot be used.
        """
        if self._folder is None or not SECRET.fullmatch(name) or not RESOURCE_ID.fullmatch(project):
            raise SecretError(name[:64], "does not exist")
        path = self._folder / project / name
        try:
            return self._present(path)
        except FileNotFoundError:
            raise SecretError(name, "does not exist") from None
        except UnicodeDecodeError:
            raise SecretError(name, "is no UTF-8 text") from None
        except OSError as failure:
            raise SecretError(name, f"cannot be read: {failure.strerror}") from None
        except ValueError as problem:
            raise SecretError(name, str(problem)) from None

    def _present(self, path: Path) -> str:
        status = path.stat()  # follows links: mounted secrets are replaced by turning one
        version = (status.st_mtime_ns, status.st_ino, status.st_size)
        kept = self._read.get(path)
        if kept is None or kept.version != version:
            kept = self._read[path] = _Read(version, _usable(path, status.st_size))
        return kept.text


def _usable(path: Path, size: int) -> str:
    if size > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES} bytes")
    text = path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    if len(text) < MIN_CHARACTERS or "\0" in text:
        raise ValueError(f"has fewer than {MIN_CHARACTERS} characters, or a NUL among them")
    return text
