"""Who calls: bearer tokens, checked before the first message of any call is looked at.

A token is `ord_<public id>_<secret>`. Every failure has one message, and the comparison takes the same time whether
the public id exists or not, so that answers tell nothing about which tokens there are.
"""

import hmac
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from gateway.authentication.caller import CALLER, Caller, missing_scope
from gateway.authentication.client_address import source_of
from gateway.authentication.token_throttle import BadTokens
from gateway.authentication.token_uses import TokenUses
from ordinaut.names import covers, granted
from ordinaut.rpc.interceptor import Context
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.v1.options_pb2 import scope as scope_option

BEARER = re.compile(r"(?i:bearer) +ord_([0-9a-f]{16})_([0-9a-f]{64})")
CACHE_SECONDS = 2.0  # how long a revoked token may still be believed
CACHE_MAX = 10_000
RECHECK_SECONDS = 20.0
NO_HASH = bytes(32)
SELF = "self"


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    secret_hash: bytes
    good_until: float


class Authenticator:
    """The guard of the public server: finds the caller and checks the method's scope."""

    def __init__(self, database: Database, scopes: Mapping[str, str], uses: TokenUses) -> None:
        self._database = database
        self._uses = uses
        self._scopes = scopes
        self._known: dict[str, _Known] = {}
        self._bad_tokens = BadTokens()

    async def guard(self, method: str, context: Context) -> None:
        """Lets the call in and remembers its caller for the servicer.

        Raises:
            UnauthenticatedError: no token, or not a valid one.
            PermissionDeniedError: the token lacks the method's scope.
        """
        caller = await self.identify(context)
        needed = self._scopes[method]
        if needed != SELF and not granted(caller.scopes, needed):
            raise missing_scope(needed)
        CALLER.set(caller)
        structlog.contextvars.bind_contextvars(project=caller.project, agent=caller.agent)

    async def identify(self, context: Context) -> Caller:
        """The caller behind the call's token, as of now.

        Raises:
            UnauthenticatedError: the token is not, or not any more, valid.
            ResourceExhaustedError: LIMIT_REACHED: so are very many from the same address.
        """
        shown_token = _shown_token(context)
        if shown_token is None:
            raise self._bad_tokens.refusal(source_of(context))
        public_id, secret = shown_token
        shown = identity.hash_secret(secret)
        known = self._known.get(public_id)
        if known is None or known.good_until <= time.monotonic():
            known = await self._look_up(public_id)
        if not hmac.compare_digest(shown, known.secret_hash if known else NO_HASH) or known is None:
            raise self._bad_tokens.refusal(source_of(context))
        self._uses.note(public_id)
        return known.caller

    def vigil(self, context: Context) -> Callable[[], Awaitable[None]]:
        """What a long stream awaits now and then: looks at its token again, at most every twenty seconds."""
        next_look = time.monotonic() + RECHECK_SECONDS

        async def look() -> None:
            nonlocal next_look
            if time.monotonic() >= next_look:
                await self.identify(context)
                next_look = time.monotonic() + RECHECK_SECONDS

        return look

    async def _look_up(self, public_id: str) -> _Known | None:
        asked = time.monotonic()
        async with self._database.connection() as connection:
            credential = await identity.find_credential(connection, public_id)
        if credential is None:
            self._known.pop(public_id, None)
            return None
        left = CACHE_SECONDS if credential.seconds_left is None else min(CACHE_SECONDS, credential.seconds_left)
        known = _Known(_caller(public_id, credential), credential.secret_hash, asked + left)
        self._remember(public_id, known)
        return known

    def _remember(self, public_id: str, known: _Known) -> None:
        self._known.pop(public_id, None)
        self._known[public_id] = known
        if len(self._known) > CACHE_MAX:
            self._known.pop(next(iter(self._known)))


def _caller(public_id: str, credential: identity.Credential) -> Caller:
    rights = frozenset(credential.agent_scopes)
    if credential.token_scopes:  # an agent that has lost a scope takes it from its tokens too
        rights = frozenset(scope for scope in credential.token_scopes if covers(rights, scope))
    return Caller(credential.project, credential.agent, rights, public_id)


def _shown_token(context: Context) -> tuple[str, str] | None:
    shown = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    match = BEARER.fullmatch(shown[0]) if len(shown) == 1 and isinstance(shown[0], str) else None
    return (match[1], match[2]) if match else None


def method_scopes(services: Sequence[ServiceDescriptor]) -> dict[str, str]:
    """The scope of every method by its full path, `/package.Service/Method`.

    Raises:
        RuntimeError: a method declares none, so that nobody could tell who may call it.
    """
    scopes = {
        f"/{service.full_name}/{method.name}": method.GetOptions().Extensions[scope_option]
        for service in services
        for method in service.methods
    }
    if missing := sorted(path for path, scope in scopes.items() if not scope):
        raise RuntimeError(f"these methods declare no scope: {', '.join(missing)}")
    return scopes
