"""The keys with which engines encrypt sensitive values, read from a file.

Each line of the file is a key: an id and 32 bytes as Base64, such as `2027-01 q83v…=`. The first key encrypts, all of
them decrypt. The encryption is AES-256-GCM, bound to the project of the run.
"""

import re
import secrets
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ordinaut.sensitive import PREFIX, SEALED

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class DataKeyError(ValueError):
    """A key file is invalid, or a value cannot be decrypted."""


class DataKeys:
    """The keys of an installation by id; the first one encrypts. `text` is that of the file, for another process."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self.text = "\n".join(f"{name} {b64encode(key).decode()}" for name, key in keys.items())
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._first = next(iter(keys))

    @classmethod
    def read(cls, path: Path) -> "DataKeys":
        """Reads a key file.

        Raises:
            DataKeyError: it cannot be read or is malformed. The message does not contain the keys.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            reason = failure.strerror if isinstance(failure, OSError) else "it is not UTF-8"
            raise DataKeyError(f"the data keys in {path} cannot be read: {reason}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, place: str = "data keys") -> "DataKeys":
        """Reads the text of a key file, whose name is `place`.

        Raises:
            DataKeyError: it is malformed.
        """
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                name, key = _parse(line, f"{place}, line {number}")
                if name in keys:
                    raise DataKeyError(f"{place}, line {number}: the id {name} must be unique")
                keys[name] = key
        if not keys:
            raise DataKeyError(f"{place} must contain at least one key")
        return cls(keys)

    @classmethod
    def generated(cls) -> "DataKeys":
        """Returns one new key, which is lost with the process."""
        return cls({"process": secrets.token_bytes(KEY_BYTES)})

    def seal(self, value: bytes, project: str) -> str:
        """Returns the encrypted value as text; equal values differ."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, value, project.encode())
        return f"{PREFIX}{self._first}:{urlsafe_b64encode(sealed).decode().rstrip('=')}]"

    def open(self, text: str, project: str) -> bytes:
        """Returns the value of a text that `seal` has returned.

        Raises:
            DataKeyError: its key is not in the file, or it was encrypted for another project, or was changed.
        """
        match = SEALED.fullmatch(text)
        if match is None:
            raise DataKeyError("not an encrypted value")
        cipher = self._ciphers.get(match[1])
        if cipher is None:
            raise DataKeyError(f"this engine does not have the data key {match[1]}")
        try:
            sealed = urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], project.encode())
        except (InvalidTag, Base64Error, ValueError):
            raise DataKeyError(f"the value does not match the data key {match[1]}") from None


def _parse(line: str, place: str) -> tuple[str, bytes]:
    name, _, encoded = line.strip().partition(" ")
    if not KEY_ID.fullmatch(name):
        raise DataKeyError(f"{place}: must be an id, {KEY_ID.pattern}, a space, and a key as Base64")
    try:
        key = b64decode(encoded.strip(), validate=True)
    except Base64Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise DataKeyError(f"{place}: the key {name} must be {KEY_BYTES} bytes as Base64")
    return name, key
