"""The servers of the integration tests, for attacks."""

from tests.integration.conftest import database, database_url, postgres_url, redis_url, servers_folder, store_settings

__all__ = ["database", "database_url", "postgres_url", "redis_url", "servers_folder", "store_settings"]
