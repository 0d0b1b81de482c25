"""The journal of a long loop that a resumed run gets: without the iterations of finished chunks."""

import json
from uuid import UUID

from ordinaut.store.queue import due_work_claim
from ordinaut.store.runs import run as runs
from tests.integration.support.queue_rig import Rig

STEPS = """
INSERT INTO step_run (run, path, attempt, seq, state, tool, output, segment_time, start_time, end_time)
SELECT $1, path, 1, place, 'SUCCEEDED', tool, output::jsonb, clock_now(), clock_now(), clock_now()
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS s (path, tool, output, place)
"""
CHUNK = json.dumps({"outputs": [], "failed": [5, 7]})


async def paths_of(rig: Rig, *stored: tuple[str, str, str]) -> list[str]:
    """Returns the paths of a run's journal; `stored` are its entries as path, tool and output."""
    run: UUID
    [run] = await rig.queue(1)
    await rig.execute(STEPS, run, *(list(column) for column in zip(*stored, strict=True)))
    async with rig.database.connection() as connection:
        return [step.path for step in await due_work_claim.journal_of(connection, [run])]


def called(*paths: str) -> list[tuple[str, str, str]]:
    return [(path, "t.t", "{}") for path in paths]


async def test_iterations_of_a_finished_chunk_are_left_out(rig: Rig) -> None:
    """Of any nesting, but not those of other chunks, of other loops and of steps with similar names."""
    inside = called("loop[0]", "loop[9].a", "loop[999].b[3].c", "loop[42].every[0]")
    others = called("loop[1000]", "loop.foreach", "loops[3]", "a.loop[3]", "b[2].loop[3]", "plain", "loop.else.x")
    chunk = [("loop.chunk[0]", "", CHUNK)]
    assert await paths_of(rig, *inside, *others, *chunk) == [path for path, _, _ in [*others, *chunk]]


async def test_failed_iterations_and_taken_events_are_kept(rig: Rig) -> None:
    """A retry repeats the first; the second end no other wait."""
    kept = [*called("loop[5].a", "loop[7]"), ("loop[1].e", "orchestrator.wait_event", '{"position": 3}')]
    chunk = ("loop.chunk[0]", "", CHUNK)
    assert await paths_of(rig, *called("loop[6].a"), *kept, chunk) == [path for path, _, _ in [*kept, chunk]]


async def test_chunks_inside_of_branches(rig: Rig) -> None:
    chunk = ("both.left.loop.chunk[2]", "", CHUNK)
    assert await paths_of(rig, *called("both.left.loop[2001].a", "both.right.loop[2001]"), chunk) == [
        *("both.right.loop[2001]", chunk[0])
    ]


async def test_a_step_with_such_a_path_is_no_chunk(rig: Rig) -> None:
    """A loop inside a group may be called `chunk`: its iterations have a tool."""
    assert await paths_of(rig, *called("loop[5].a", "loop.chunk[0]")) == ["loop[5].a", "loop.chunk[0]"]


async def test_other_runs_are_not_affected(rig: Rig) -> None:
    assert await paths_of(rig, ("loop.chunk[0]", "", CHUNK)) == ["loop.chunk[0]"]
    assert await paths_of(rig, *called("loop[0]")) == ["loop[0]"]


async def test_people_see_every_iteration(rig: Rig) -> None:
    stored = [*called("loop[0]", "loop[1]"), ("loop.chunk[0]", "", CHUNK)]
    run: UUID
    [run] = await rig.queue(1)
    await rig.execute(STEPS, run, *(list(column) for column in zip(*stored, strict=True)))
    async with rig.database.connection() as connection:
        record = await runs.get(connection, run, steps=True)
    assert record is not None
    assert [step["path"] for step in json.loads(record.steps or "[]")] == ["loop[0]", "loop[1]", "loop.chunk[0]"]
