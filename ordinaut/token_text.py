"""The text of a token: `ord1_<public id>_<secret><checksum>`, which scanners for leaked secrets recognise.

The public id has 16 characters of base32, the secret 43 of base62 (256 bits), the checksum is the CRC-32 of what is
before it, in 6 characters of base62. A text with another checksum is no token, so that a typing error or a random text
costs no look-up. Tokens of the earlier form `ord_<16 hex digits>_<64 hex digits>` remain valid.
"""

import re
import secrets
import string
import zlib
from dataclasses import dataclass

PREFIX = "ord1"
BASE32 = string.ascii_lowercase + "234567"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
PUBLIC_ID_LENGTH = 16
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
PUBLIC_ID = re.compile(r"[a-z2-7]{16}|[0-9a-f]{16}")
FORM = re.compile(r"(ord1_([a-z2-7]{16})_([0-9A-Za-z]{43}))([0-9A-Za-z]{6})")
EARLIER_FORM = re.compile(r"ord_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class TokenText:
    """The two parts of a token: the id under which it is stored, and the secret, of which only a hash is stored."""

    public_id: str
    secret: str

    @classmethod
    def random(cls) -> "TokenText":
        """A new token."""
        public_id = "".join(secrets.choice(BASE32) for _ in range(PUBLIC_ID_LENGTH))
        return cls(public_id, "".join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH)))

    @classmethod
    def parse(cls, text: str) -> "TokenText | None":
        """Returns the parts of a token; None if the form or the checksum is wrong.

        >>> TokenText.parse(str(TokenText("a" * 16, "B" * 43)))
        TokenText(public_id='aaaaaaaaaaaaaaaa', secret='BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB')
        >>> TokenText.parse(str(TokenText("a" * 16, "B" * 43)).replace("B", "C", 1))
        """
        if match := FORM.fullmatch(text):
            return cls(match[2], match[3]) if _checksum(match[1]) == match[4] else None
        match = EARLIER_FORM.fullmatch(text)
        return cls(match[1], match[2]) if match else None

    def __str__(self) -> str:
        """The token."""
        text = f"{PREFIX}_{self.public_id}_{self.secret}"
        return text + _checksum(text)


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
