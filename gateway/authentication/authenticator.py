"""Authenticates calls by bearer token before their first message is read.

A token is `ord1_<public id>_<secret and checksum>`; the store has the SHA-256 of the secret.
"""

import asyncio
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from gateway.authentication.caller import CALLER, Caller, missing_scope
from gateway.authentication.client_address import Client, address_key, client_address
from gateway.authentication.origin import ORIGIN, Origin
from gateway.authentication.token_throttle import TokenThrottle
from gateway.authentication.token_uses import TokenUses
from ordinaut.errors import PermissionDeniedError
from ordinaut.names import SYSTEM_PROJECT, granted, intersection
from ordinaut.rpc.interceptor import Context
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.token_text import TokenText
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.options_pb2 import scope as scope_option

BEARER = re.compile(r"(?i:bearer) +(ord1?_[0-9a-zA-Z_]{32,96})")
CACHE_SECONDS = 2.0  # the longest time that a revoked token is still accepted
CACHE_MAX = 10_000  # tokens
RECHECK_SECONDS = 1.0
NO_HASH = bytes(32)
SUSPECT_LOOK_UPS = 2  # at the same time, of tokens from addresses that have sent too many invalid ones
WAITING_MAX = 200  # calls that wait for one of these
Enter = Callable[[Caller, str], Awaitable[None]]
SELF = "self"  # the scope of methods that every valid token may call
OPERATOR = "operator"  # of methods for the admins of the reserved project
IN_SYSTEM_PROJECT = ("agents:", "audit:")


@dataclass(frozen=True, slots=True)
class _CachedToken:
    caller: Caller
    secret_hash: bytes
    expires: float  # of time.monotonic()


class Authenticator:
    """The guard of the public server: identifies and counts (`enter`) the caller, and checks the method's scope."""

    def __init__(self, database: Database, scopes: Mapping[str, str], uses: TokenUses, enter: Enter) -> None:
        self._database = database
        self._uses = uses
        self._scopes = scopes
        self._enter = enter
        self._cache: dict[str, _CachedToken] = {}
        self._throttle = TokenThrottle()
        self._seen: OrderedDict[str, None] = OrderedDict()  # tokens that were valid
        self._suspect = asyncio.Semaphore(SUSPECT_LOOK_UPS)
        self._waiting = 0

    async def guard(self, method: str, context: Context) -> None:
        """Authorizes a call and stores its caller for the servicer.

        Raises:
            UnauthenticatedError: the token is missing or invalid.
            PermissionDeniedError: the token lacks the method's scope.
            ResourceExhaustedError: QUOTA_EXCEEDED: calls per second.
        """
        ORIGIN.set(Origin(method, context))
        caller = await self.identify(context)
        CALLER.set(caller)
        await self._enter(caller, _counted_address(context))
        _require(caller, self._scopes[method])
        structlog.contextvars.bind_contextvars(project=caller.project, agent=caller.agent)

    async def identify(self, context: Client) -> Caller:
        """Returns the caller that the call's token identifies, with its current rights.

        Raises:
            UnauthenticatedError: the token is missing, malformed, unknown, expired or revoked.
            ResourceExhaustedError: LIMIT_REACHED: too many such tokens were sent from the same address.
        """
        # A missing, malformed, unknown, expired, revoked or wrong token gets the same message, so an answer does not
        # reveal which public ids exist. An unknown id is compared with NO_HASH, and the comparison is evaluated before
        # the test for None, so it takes as long as for a known id. What is compared are hashes: a caller cannot choose
        # the bytes of its side, so that even a comparison with variable time would not leak the stored ones.
        address, token = _counted_address(context), _bearer_token(_authorizations(context))
        if token is None:
            await self._throttle.reject(address)
        public_id, secret_hash = token.public_id, identity.hash_secret(token.secret)
        cached = self._cache.get(public_id)
        if cached is None or cached.expires <= time.monotonic():
            cached = await self._limited_look_up(public_id, address)
        if not hmac.compare_digest(secret_hash, cached.secret_hash if cached else NO_HASH) or cached is None:
            await self._throttle.reject(address)
        self._uses.note_use(public_id)
        return cached.caller

    def token_recheck(self, context: Context, check: Callable[[Caller], None]) -> Callable[[], Awaitable[None]]:
        """Returns a function for long streams to await repeatedly: it checks the token and its rights every second.

        `check` gets the caller with its current rights and raises PermissionDeniedError or NotFoundError if they do not
        suffice any more. A stream that awaits the function every two seconds ends at most five seconds after the right.
        """
        next_check = time.monotonic() + RECHECK_SECONDS

        async def recheck() -> None:
            nonlocal next_check
            if time.monotonic() >= next_check:
                check(await self.identify(context))
                next_check = time.monotonic() + RECHECK_SECONDS

        return recheck

    def scope_recheck(self, context: Context, method: str) -> Callable[[], Awaitable[None]]:
        """Returns a `token_recheck` for the scope of a method, for streams that end by themselves."""
        return self.token_recheck(context, lambda caller: _require(caller, self._scopes[method]))

    async def _limited_look_up(self, public_id: str, address: str) -> _CachedToken | None:
        """Looks up a token; unknown ones from addresses that have sent too many invalid ones, a few at a time."""
        if public_id in self._seen or not self._throttle.is_exhausted(address):
            return await self._look_up(public_id)
        if self._waiting >= WAITING_MAX:
            await self._throttle.reject(address)
        self._waiting += 1
        try:
            async with self._suspect:
                return await self._look_up(public_id)
        finally:
            self._waiting -= 1

    async def _look_up(self, public_id: str) -> _CachedToken | None:
        # The age of a cache entry counts from before the query, so a revocation that commits while the query runs is
        # in effect at most CACHE_SECONDS later. Only valid tokens are cached: a token that was just created works at
        # once, and unknown ids, which an attacker can invent, take no memory.
        query_time = time.monotonic()
        async with self._database.connection() as connection:
            credential = await identity.find_credential(connection, public_id)
        if credential is None:
            self._cache.pop(public_id, None)
            return None
        lifetime = CACHE_SECONDS if credential.seconds_left is None else min(CACHE_SECONDS, credential.seconds_left)
        cached = _CachedToken(_caller(public_id, credential), credential.secret_hash, query_time + lifetime)
        self._store(public_id, cached)
        return cached

    def _store(self, public_id: str, cached: _CachedToken) -> None:
        self._cache.pop(public_id, None)
        self._cache[public_id] = cached
        self._seen[public_id] = None
        self._seen.move_to_end(public_id)
        if len(self._seen) > CACHE_MAX:
            self._seen.popitem(last=False)
        if len(self._cache) > CACHE_MAX:
            self._cache.pop(next(iter(self._cache)))  # the oldest entry


def _require(caller: Caller, scope: str) -> None:
    """Requires the scope of a method. Tokens of the reserved project are for projects, its own agents and audit log.

    The tools of the reserved project belong to all projects, so an operator must not be able to change them.
    """
    if scope == SELF:
        return
    is_operator = caller.project == SYSTEM_PROJECT
    if scope == OPERATOR and not (is_operator and caller.is_admin):
        message = "requires the token of an operator; at the database, run: ordinaut project operator"
        raise PermissionDeniedError(ErrorReason.MISSING_SCOPE, message, {"scope": OPERATOR})
    if is_operator and scope != OPERATOR and not scope.startswith(IN_SYSTEM_PROJECT):
        message = f"a token of an operator has no access to the contents of projects (needs {scope})"
        raise PermissionDeniedError(ErrorReason.MISSING_SCOPE, message, {"scope": scope})
    if scope != OPERATOR and not granted(caller.scopes, scope):
        raise missing_scope(scope)


def _caller(public_id: str, credential: identity.Credential) -> Caller:
    rights = agent_scopes = frozenset(credential.agent_scopes)
    if credential.token_scopes:  # a scope that the agent has lost is lost by its tokens too
        rights = intersection(frozenset(credential.token_scopes), agent_scopes)
    return Caller(
        credential.project,
        credential.agent,
        rights,
        public_id,
        agent_scopes,
        credential.agent_uid,
        frozenset(credential.issuers),
        frozenset(credential.admin_issuers),
        credential.create_time,
        credential.expire_time,
        credential.min_priority,
    )


def _counted_address(context: Client) -> str:
    return address_key(client_address(context))


def _authorizations(context: Client) -> list[str]:
    return [str(value) for key, value in context.invocation_metadata() or () if key == "authorization"]


def _bearer_token(authorizations: Sequence[str]) -> TokenText | None:
    """The token; None unless there is exactly one well-formed header, with a correct checksum."""
    match = BEARER.fullmatch(authorizations[0]) if len(authorizations) == 1 else None
    return TokenText.parse(match[1]) if match else None


def method_scopes(services: Sequence[ServiceDescriptor]) -> dict[str, str]:
    """Returns the scope of every method by its full path, `/package.Service/Method`.

    Raises:
        RuntimeError: a method declares no scope.
    """
    scopes = {
        f"/{service.full_name}/{method.name}": method.GetOptions().Extensions[scope_option]
        for service in services
        for method in service.methods
    }
    if missing := sorted(path for path, scope in scopes.items() if not scope):
        raise RuntimeError(f"these methods declare no scope: {', '.join(missing)}")
    return scopes
