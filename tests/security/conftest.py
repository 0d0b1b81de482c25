"""The servers of the integration tests, for attacks."""

from tests.integration.conftest import database_url, postgres_url, redis_url, servers_folder

__all__ = ["database_url", "postgres_url", "redis_url", "servers_folder"]
