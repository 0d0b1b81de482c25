"""Looks up request headers in the form of ASGI: pairs of bytes with names in lower case."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a request; values that are not printable ASCII are ignored."""

    pairs: Iterable[tuple[bytes, bytes]]

    def all(self, name: bytes) -> list[str]:
        """Returns the values of every header with this name."""
        return [
            text
            for key, value in self.pairs
            if key == name and (text := value.decode("latin-1")).isascii() and text.isprintable()
        ]

    def first(self, name: bytes) -> str:
        """Returns the first value of a header; empty if it is absent."""
        return next(iter(self.all(name)), "")

    def accepts(self, name: bytes, token: str) -> bool:
        """Whether a list such as Accept or Accept-Encoding contains `token` with a quality above 0."""
        for item in ",".join(self.all(name)).split(","):
            value, _, parameters = item.partition(";")
            if value.strip().lower() == token:
                return parameters.replace(" ", "") not in {"q=0", "q=0.0"}
        return False
