"""The event log: numbered once, carried to Redis at least once, matched exactly once, whatever breaks."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.errors import AlreadyExistsError
from ordinaut.settings import StreamSettings
from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.event import NewEvent, PublishedEvent
from ordinaut.store.hints import Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks.cursor import NewEventTrigger
from ordinaut.streams.event_stream import KEY, EventStream
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import NoStream
from tests.patience import PATIENCE


class Log:
    """The log of one test with its stream, relays and matchers."""

    def __init__(self, rig: Rig, url: str) -> None:
        self.rig = rig
        self.stream = EventStream(StreamSettings(redis_url=url))
        self.redis: Any = Redis.from_url(url)
        self.hints = Hints(rig.database)

    def relay(self, stream: Any = None) -> Relay:
        """Another relay."""
        return Relay(self.rig.database, stream or self.stream, self.hints)

    def matcher(self) -> Matcher:
        """Another matcher."""
        return Matcher(self.rig.database, self.hints)

    async def publish(self, *topics: str, depth: int = 0, **data: Any) -> list[str]:
        """Publishes events one by one; their uids."""
        uids = []
        for topic in topics:
            new = NewEvent(uuid4(), topic, "test", "", "", data, "agents/alice", depth)
            async with self.rig.database.transaction() as connection:
                await event.publish(connection, "default", new)
            uids.append(str(new.uid))
        return uids

    async def positions(self) -> list[tuple[int, str]]:
        """What the stream holds: (position, uid of the event)."""
        entries = await self.redis.xrange(KEY)
        return [
            (int(key.partition(b"-")[0]) + offset, body["uid"])
            for key, fields in entries
            for offset, body in enumerate(event.unfolded(json.loads(fields[b"events"])))
        ]

    async def numbered(self) -> list[tuple[int, str]]:
        """What the log says: (position, uid)."""
        rows = await self.rig.rows("SELECT position, events::text FROM outbox WHERE position IS NOT NULL ORDER BY 1")
        return [
            (row["position"] + offset, body["uid"])
            for row in rows
            for offset, body in enumerate(event.unfolded(json.loads(row["events"])))
        ]

    async def match_all(self, *matchers: Matcher) -> None:
        """Has the matchers work until the whole numbered log is matched."""
        async with asyncio.timeout(PATIENCE):
            while await self.rig.value(
                "SELECT m.value < e.value FROM position m, position e WHERE m.name = 'matcher' AND e.name = 'events'"
            ):
                await asyncio.gather(*(matcher.run_once() for matcher in matchers))

    async def triggered(self, task: UUID) -> list[str]:
        """Uids of the events that made runs of a task."""
        rows = await self.rig.rows("SELECT substr(key, 7) FROM occurrence WHERE task = $1 ORDER BY create_time", task)
        return sorted(row[0] for row in rows)


@pytest_asyncio.fixture
async def log(rig: Rig, redis_url: str) -> AsyncIterator[Log]:
    """An empty log and an empty stream."""
    made = Log(rig, redis_url)
    await made.redis.flushall()
    yield made
    await made.redis.aclose()
    await made.stream.close()


def waits_for(topic: str, when: str = "") -> list[NewEventTrigger]:
    return [NewEventTrigger("t0", topic, when, None)]


async def test_positions_follow_the_commits_not_the_ids(log: Log, rig: Rig) -> None:
    async with rig.database.transaction() as slow:
        await event.announce(slow, "default", [{"uid": "first to begin", "topic": "a"}])
        await log.publish("b")
        await log.relay().number()
    await log.relay().number()
    async with rig.database.connection() as connection:
        rows = await event.read(connection, project=None, after=0, batch=10)
    assert [row.position for row in rows] == [1, 2]
    assert "first to begin" in rows[1].events


async def test_relays_at_once_number_every_row_once_and_the_stream_is_the_log(log: Log) -> None:
    stop = asyncio.Event()

    async def relaying() -> None:
        relay = log.relay()
        while not stop.is_set():
            await relay.number()
            await relay.send()

    relays = [asyncio.create_task(relaying()) for _ in range(3)]
    await asyncio.gather(*(log.publish(*["a"] * 30) for _ in range(5)))
    stop.set()
    await asyncio.gather(*relays)
    await log.relay().number()
    await log.relay().send()
    positions = await log.positions()
    assert positions == await log.numbered()
    assert [position for position, _ in positions] == list(range(1, 151))


async def test_a_crash_between_sending_and_marking_sends_nothing_twice(
    log: Log, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_arguments: Any) -> None:
        raise RuntimeError("killed")

    await log.publish("a", "b")
    relay = log.relay()
    await relay.number()
    with monkeypatch.context() as patched:
        patched.setattr(event, "mark_sent", crash)
        with pytest.raises(RuntimeError):
            await relay.send()
    assert await rig.value("SELECT count(*) FROM outbox WHERE NOT sent") == 2
    await log.publish("c")
    await relay.number()
    await relay.send()
    assert await log.positions() == await log.numbered()
    assert await rig.value("SELECT count(*) FROM outbox WHERE NOT sent") == 0


@pytest.mark.parametrize("harm", ["flushall", "trim", "destroy"])
async def test_every_event_starts_its_run_once_however_the_stream_is_damaged(harm: str, log: Log, rig: Rig) -> None:
    task = await rig.task(event_triggers=waits_for("orders.*"))
    stop = asyncio.Event()
    published: list[str] = []

    async def harming() -> None:
        while not stop.is_set():
            if harm == "flushall":
                await log.redis.flushall()
            elif harm == "trim":
                await log.redis.xtrim(KEY, maxlen=0, approximate=False)
            else:
                await log.redis.delete(KEY)
            await asyncio.sleep(0.01)

    async def relaying() -> None:
        relay = log.relay()
        while not stop.is_set():
            await relay.number()
            await relay.send()

    async def matching() -> None:
        matcher = log.matcher()
        while not stop.is_set():
            await matcher.run_once()

    working = [asyncio.create_task(part()) for part in (harming, relaying, matching, matching)]
    for _ in range(5):
        published += await log.publish(*["orders.paid", "other"] * 10)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*working)
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await log.triggered(task) == sorted(published[::2])


async def test_events_are_numbered_and_matched_without_redis(log: Log, rig: Rig) -> None:
    task = await rig.task(event_triggers=waits_for("a"))
    published = await log.publish(*["a"] * 120)
    relay = log.relay(NoStream())
    await relay.number()
    assert not await relay.send()
    await log.match_all(log.matcher())
    assert await log.triggered(task) == sorted(published)
    assert await rig.value("SELECT count(*) FROM outbox WHERE sent") == 0


async def test_a_redis_that_hangs_or_breaks_its_connections_ends_nothing(
    log: Log, rig: Rig, servers_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are numbered and matched meanwhile; what was not sent is sent afterwards, once."""
    monkeypatch.setattr("ordinaut.streams.event_stream.COMMAND_SECONDS", 0.3)
    task = await rig.task(event_triggers=waits_for("a"))
    published = []
    async with EmbeddedValkey(servers_folder / "breaks") as valkey:
        relay = log.relay(stream := EventStream(StreamSettings(redis_url=valkey.url)))
        redis: Any = Redis.from_url(valkey.url)
        for place in range(6):
            published += await log.publish("a")
            await relay.number()
            sending = asyncio.create_task(relay.send())
            if place % 2:
                os.kill(valkey.pid, signal.SIGSTOP)
            else:
                await redis.client_kill_filter(_type="normal", skipme=True)
            await log.match_all(log.matcher())
            assert len(await log.triggered(task)) == len(published)
            await sending
            os.kill(valkey.pid, signal.SIGCONT)
        while await rig.value("SELECT count(*) FROM outbox WHERE NOT sent"):
            await relay.number()
            await relay.send()
        keys = [int(key.partition(b"-")[0]) for key, _ in await redis.xrange(KEY)]
        assert keys == sorted(set(keys))
        assert len(keys) == await rig.value("SELECT count(*) FROM outbox")
        await redis.aclose()
        await stream.close()


@pytest.mark.parametrize("failure", [RuntimeError("unable to perform operation on <TCPTransport closed=True>")])
async def test_a_failure_of_the_library_ends_no_process(log: Log, failure: Exception) -> None:
    """On uvloop a connection that was reset is written to, which is a RuntimeError and none of Redis."""

    class Broken(NoStream):
        async def newest(self) -> int:
            raise failure

    await log.publish("a")
    relay = log.relay(Broken())
    await relay.number()
    assert not await relay.send()


async def test_a_stream_that_is_ahead_of_the_log_is_deleted_and_starts_nothing(log: Log, rig: Rig) -> None:
    task = await rig.task(event_triggers=waits_for("a"))
    relay, matcher = log.relay(), log.matcher()
    await log.publish(*["a"] * 3)
    await relay.number()
    await relay.send()
    # PostgreSQL is restored from a backup that was taken before: the same ids and positions come once more.
    await rig.execute("TRUNCATE outbox RESTART IDENTITY")
    await rig.execute("UPDATE position SET value = 0")
    await matcher.run_once()
    await matcher.run_once()
    assert await log.triggered(task) == []
    await rig.turn_clock(minutes=1)
    published = await log.publish("a")
    await relay.number()
    await log.match_all(matcher)
    assert await log.triggered(task) == published
    while await relay.send():  # the first one finds the foreign stream
        pass
    assert await log.positions() == await log.numbered()


async def test_other_contents_at_the_same_position_are_foreign(log: Log, rig: Rig) -> None:
    await log.publish("a", "b")
    relay = log.relay()
    await relay.number()
    await relay.send()
    await rig.execute("TRUNCATE outbox RESTART IDENTITY")
    await rig.execute("UPDATE position SET value = 0")
    await rig.turn_clock(seconds=1)
    await log.publish("c", "d", "e")
    await relay.number()
    while await relay.send():
        pass
    assert await log.positions() == await log.numbered()


async def test_the_position_moves_with_the_runs_or_not_at_all(
    log: Log, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await rig.task(event_triggers=waits_for("a"))
    published = await log.publish("a")
    await log.relay().number()

    async def crash(*_arguments: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(event, "move_matcher", crash)
        with pytest.raises(RuntimeError):
            await log.matcher().run_once()
    assert await log.triggered(task) == []
    await log.match_all(log.matcher(), log.matcher())
    assert await log.triggered(task) == published
    await rig.execute("UPDATE position SET value = 0 WHERE name = 'matcher'")  # even if it went back
    await log.match_all(log.matcher())
    assert await rig.value("SELECT count(*) FROM due_work") == 1


class Transactions:
    """A database that knows whether a transaction of its own is open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.connection = database.connection
        self.open = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self._database.transaction() as connection:
            self.open = True
            yield connection
        self.open = False


async def test_workers_get_hints_after_the_commit(log: Log, rig: Rig) -> None:
    """Who looks before would find nothing, and look again only by and by."""
    await rig.task(event_triggers=waits_for("a"))
    await log.publish("a")
    await log.relay().number()
    database, hinted = Transactions(rig.database), list[tuple[str, bool]]()
    log.hints.send = lambda *topics: hinted.extend((topic, database.open) for topic in topics)  # type: ignore[method-assign]
    await Matcher(database, log.hints).run_once()  # type: ignore[arg-type]
    assert set(hinted) == {("work", False), ("outbox", False)}


async def test_a_task_sees_only_what_comes_after_it(log: Log, rig: Rig) -> None:
    await log.publish("a")
    await log.relay().number()
    task = await rig.task(event_triggers=waits_for("a"))
    published = await log.publish("a")
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await log.triggered(task) == published


async def test_a_condition_that_fails_is_false(log: Log, rig: Rig) -> None:
    large = await rig.task(event_triggers=waits_for("order", "data.total > `100`"))
    broken = await rig.task(event_triggers=waits_for("order", "data.total > data.nothing.at_all"))
    every = await rig.task(event_triggers=waits_for(">"))
    [small] = await log.publish("order", total=7)
    [big] = await log.publish("order", total=700)
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await log.triggered(large) == [big]
    assert await log.triggered(broken) == []
    assert set(await log.triggered(every)) >= {small, big}


async def test_a_chain_of_eight_runs_ends(log: Log, rig: Rig) -> None:
    task = await rig.task(event_triggers=waits_for("a"))
    await log.publish("a", depth=8)
    last_good = await log.publish("a", depth=7)
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await log.triggered(task) == last_good
    assert await rig.value("SELECT depth FROM due_work") == 8


async def test_only_the_match_that_postgres_rejects_is_left_out(log: Log, rig: Rig) -> None:
    good = await rig.task(event_triggers=waits_for("a"))
    bad = await rig.task(event_triggers=waits_for("a"))
    await rig.execute(f"ALTER TABLE occurrence ADD CHECK (task <> '{bad}')")
    published = await log.publish(*["a"] * 5)
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await log.triggered(good) == sorted(published)
    assert await log.triggered(bad) == []


async def test_runs_that_exceed_one_row_of_the_log_can_all_be_read(log: Log, rig: Rig) -> None:
    for _ in range(3):
        await rig.task(event_triggers=waits_for("a"))
    async with rig.database.transaction() as connection:
        events = [NewEvent(uuid4(), "a", "test", "", "", {}, "agents/alice", 0).document() for _ in range(500)]
        await event.announce(connection, "default", events)
    await log.relay().number()
    await log.match_all(log.matcher())
    assert await rig.value("SELECT max(count) FROM outbox") <= 1000
    assert await rig.value("SELECT count(*) FROM due_work") == 1500


def with_id(topic: str = "a", *, source: str = "shop", publisher: str = "agents/alice", **data: Any) -> NewEvent:
    return NewEvent(uuid4(), topic, source, "", "order-1", data, publisher, 0)


async def test_an_id_counts_once_for_each_publisher_and_source(rig: Rig) -> None:
    new = with_id(n=1, m=2)
    others = [with_id(source="store"), with_id(publisher="agents/bob"), with_id()]
    async with rig.database.transaction() as connection:
        first = await event.publish(connection, "default", new)
        await rig.turn_clock(seconds=5)
        assert await event.publish(connection, "default", with_id(m=2, n=1)) == first
        published = [await event.publish(connection, "default", other) for other in others[:2]]
        published.append(await event.publish(connection, "other", others[2]))
    assert first.uid == new.uid
    assert [one.uid for one in published] == [other.uid for other in others]
    assert await rig.rows("SELECT create_time FROM outbox WHERE project = 'default' ORDER BY id LIMIT 1") == [
        (first.time,)
    ]
    assert await rig.value("SELECT count(*) FROM outbox") == 4


@pytest.mark.parametrize(
    "other", [with_id("b"), with_id(n=2), with_id(n="1"), with_id(n=True), replace(with_id(n=1), subject="x")]
)
async def test_an_id_is_not_reused_for_another_event(rig: Rig, other: NewEvent) -> None:
    """Neither later nor within one batch, of which nothing is published."""
    alone = NewEvent(uuid4(), "a", "shop", "", "", {}, "agents/alice", 0)
    async with rig.database.transaction() as connection:
        await event.publish_all(connection, "default", [with_id(n=1), with_id(n=1)])
    assert await rig.value("SELECT sum(count) FROM outbox") == 1
    for project, events in (("default", [alone, other]), ("other", [alone, with_id(n=1), other])):
        with pytest.raises(AlreadyExistsError, match="order-1") as refused:
            async with rig.database.transaction() as connection:
                await event.publish_all(connection, project, events)
        assert refused.value.reason == ErrorReason.EVENT_ID_REUSED
    assert await rig.value("SELECT sum(count) FROM outbox") == 1


async def test_publishers_of_the_same_ids_do_not_deadlock(rig: Rig) -> None:
    """In any order; the answers name the same events."""

    async def publish(place: int) -> list[PublishedEvent]:
        new = [NewEvent(uuid4(), "a", "shop", "", str((n * place) % 97), {}, "agents/alice", 0) for n in range(1, 97)]
        async with rig.database.transaction() as connection:
            published = await event.publish_all(connection, "default", new)
        by_id = {one.event_id: answer for one, answer in zip(new, published, strict=True)}
        return [by_id[number] for number in sorted(by_id)]

    answers = await asyncio.gather(*(publish(place) for place in (1, 5, 7, 11, 96)))
    assert [answer == answers[0] for answer in answers] == [True] * 5
    assert await rig.value("SELECT sum(count) FROM outbox") == 96
