"""Headers of a request, as ASGI gives them: pairs of bytes with names in lower case."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Headers:
    """Looks up headers; what is not ASCII text counts as absent."""

    pairs: Iterable[tuple[bytes, bytes]]

    def all(self, name: bytes) -> list[str]:
        """Every header of that name that is visible ASCII."""
        return [
            text
            for key, value in self.pairs
            if key == name and (text := value.decode("latin-1")).isascii() and text.isprintable()
        ]

    def first(self, name: bytes) -> str:
        """The first header of that name; empty when there is none."""
        return next(iter(self.all(name)), "")

    def accepts(self, name: bytes, token: str) -> bool:
        """Whether a comma list such as Accept or Accept-Encoding names `token` without refusing it."""
        for item in ",".join(self.all(name)).split(","):
            value, _, parameters = item.partition(";")
            if value.strip().lower() == token:
                return parameters.replace(" ", "") not in {"q=0", "q=0.0"}
        return False
