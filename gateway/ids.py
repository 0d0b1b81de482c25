"""UUIDv7 made in this process. Source: RFC 9562 section 5.7."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A fresh id that sorts by its millisecond."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
