"""Keeps the tokens of `ordinaut login`, by address: in the keyring of the system if there is one, else in a file.

The file is `tokens.json` in `$XDG_CONFIG_HOME/ordinaut` (by default `~/.config/ordinaut`), readable for its owner only.
"""

import importlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

SERVICE = "ordinaut"


def save(address: str, token: str) -> str:
    """Stores a token and returns where: `the keyring`, or the path of the file."""
    keyring = _keyring()
    if keyring is not None:
        with suppress(keyring.errors.KeyringError):
            keyring.set_password(SERVICE, address, token)
            _write({name: value for name, value in _read().items() if name != address})
            return "the keyring"
    _write({**_read(), address: token})
    return str(_path())


def load(address: str) -> str:
    """Returns the token for an address; otherwise empty.

    Raises:
        PermissionError: others may read or replace the file.
    """
    if token := _read().get(address):
        return token
    keyring = _keyring()
    if keyring is not None:
        with suppress(keyring.errors.KeyringError):
            return str(keyring.get_password(SERVICE, address) or "")
    return ""


def forget(address: str) -> None:
    """Removes the token for an address."""
    _write({name: value for name, value in _read().items() if name != address})
    keyring = _keyring()
    if keyring is not None:
        with suppress(keyring.errors.KeyringError):
            keyring.delete_password(SERVICE, address)


def _path() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ordinaut" / "tokens.json"


def _read() -> dict[str, str]:
    path = _path()
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno())
            text = file.read()
    except FileNotFoundError:
        return {}
    if mode.st_uid != os.getuid() or stat.S_IMODE(mode.st_mode) & 0o077:
        raise PermissionError(f"{path} must be owned by you with mode 0600 (is {stat.S_IMODE(mode.st_mode):04o})")
    tokens = json.loads(text)
    return {str(name): str(value) for name, value in tokens.items()}


def _write(tokens: dict[str, str]) -> None:
    """Replaces the file in one step; without tokens it is removed."""
    path = _path()
    if not tokens:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pending = path.with_suffix(".new")
    pending.unlink(missing_ok=True)
    descriptor = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(tokens, file)
    pending.rename(path)


def _keyring() -> Any:
    """The package `keyring`, if it is installed and has a backend that stores something."""
    try:
        keyring: Any = importlib.import_module("keyring")
        importlib.import_module("keyring.errors")
    except ImportError:
        return None
    return keyring if getattr(keyring.get_keyring(), "priority", 0) > 0 else None
