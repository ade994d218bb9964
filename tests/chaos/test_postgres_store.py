"""The faults of the suite that change a server of PostgreSQL may overlap."""

import asyncio

from tests.chaos.postgres_store import PostgresStore


async def test_two_faults_at_once_change_the_server(postgres_server_url: str) -> None:
    store = PostgresStore(postgres_server_url, "chaos_two_faults")
    try:
        await store.prepare(with_uncategorized=True)
        for begun in (True, False):
            await asyncio.gather(
                *(store.refuse(begun) for _ in range(3)), *(store.fail_writes(begun) for _ in range(3))
            )
    finally:
        await store.drop()
        await store.close()
