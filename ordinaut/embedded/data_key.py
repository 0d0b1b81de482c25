"""The key of an installation that `ordinaut up` creates, with which engines encrypt sensitive values."""

import os
import secrets
from base64 import b64encode
from pathlib import Path

FILE = "data.key"
KEY_ID = "1"
KEY_BYTES = 32


def ensure_data_key(folder: Path) -> None:
    """Creates `folder/data.key` (0600) unless it exists. The caller must hold the lock of the folder."""
    path = folder / FILE
    if path.exists():
        return
    unfinished = folder / f"{FILE}.new"
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x", opener=_private) as file:
        file.write(f"{KEY_ID} {b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
