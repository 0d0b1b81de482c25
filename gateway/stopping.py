"""What a stream says when its gateway stops: the same call finds another gateway, or this one again."""

from ordinaut.errors import UnavailableError
from ordinaut.v1.error_pb2 import ErrorReason

RETRY_SECONDS = 0.2


def stopping() -> UnavailableError:
    """Ends a long stream, so that nobody has to wait for it."""
    return UnavailableError(ErrorReason.CALL_CANCELLED, "this gateway stops; call again", retry_after=RETRY_SECONDS)
