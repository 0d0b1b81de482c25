"""Seals audit records: extends the chain of hashes of each project by the records that were committed since."""

from ordinaut.store import audit_seal
from ordinaut.store.database import Database
from ordinaut.telemetry import get_logger

log = get_logger()
BATCH = 1_000
LOOK_AHEAD = 10_000  # records among which projects are searched


class AuditSeal:
    """Seals records, and logs the heads of the chains as anchors outside of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> bool:
        """Seals a batch of each project; True when a project may have more."""
        async with self._database.connection() as connection:
            projects = await audit_seal.projects(connection, LOOK_AHEAD)
        return any([await self._seal(project) >= BATCH for project in projects])

    async def _seal(self, project: str) -> int:
        """Returns the number of sealed records; 0 while another scheduler seals those of this project.

        Seals and the end of their queue are one transaction: a scheduler that is killed in between has sealed nothing.
        """
        async with self._database.transaction() as connection:
            if not await audit_seal.try_lock(connection, project):
                return 0
            # After the lock was acquired, so that the statements see what its last holder has committed.
            end = await audit_seal.head(connection, project)
            records = await audit_seal.todo(connection, project, BATCH)
            await audit_seal.seal(connection, project, end, records)
            return len(records)

    async def log_heads(self) -> bool:
        """Logs the head of each chain that is not empty; always False."""
        async with self._database.connection() as connection:
            for project in await audit_seal.every_project(connection):
                head = await audit_seal.head(connection, project)
                if head.seq:
                    log.info("audit_head", project=project, position=head.seq, hash=head.hash.hex())
        return False
