"""What has been kept for long enough is counted by a dry run, and deleted by the task; nothing else is."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal, ProposalStatus
from infrastructure.composition.container import Container, running_container
from infrastructure.composition.from_settings import retention
from infrastructure.operations.retention import Expired
from infrastructure.settings import Settings, SettingsError, load_settings
from tests.messages import categorized, data_id, log_id, usage_log

DAY = 86_400.0
OLD, NEW = 100 * DAY, 1 * DAY


@pytest.fixture
async def container(any_settings: Settings, redis_client: Any) -> AsyncIterator[Container]:
    """Of each kind one that is 100 days old, and one of a day."""
    days = {"dead_letters_retention_days": 90.0, "proposals_retention_days": 90.0, "usage_logs_retention_days": 90.0}
    now = time.time()
    async with running_container(any_settings.model_copy(update=days)) as container:
        for number, age in enumerate((OLD, NEW), 1):
            entry = {
                "kind": "failed", "reason": "r", "publicReason": "p", "originalId": "1-1", "deliveryCount": "1",
                "time": repr(now - age), "truncated": "false", "userId": "ann", "fields": "{}",
            }  # fmt: skip
            redis_client.xadd(container.keys().dead_letters, entry)
            await container.categorized_data().save_all([categorized(number)])
            await container.usage_logs().save_all([usage_log(number, timestamp=now - age)])
            for status in ProposalStatus:
                decided = 0.0 if status is ProposalStatus.PROPOSED else now - age
                proposal = PatternProposal(
                    f"{status}{number}", PatternKind.APP, "App", "SNS", Evidence(20, 1, {}), status, decided
                )
                await container.proposals().save_all([proposal])
        yield container


async def left(container: Container, redis_client: Any) -> tuple[int, set[str], set[str], set[str]]:
    proposals = {proposal.id for proposal in await container.proposals().find_all()}
    logs = {log.id for log in await container.usage_logs().find_by_ids([log_id(1), log_id(2)])}
    windows = await container.categorized_data().find_by_ids([data_id(1), data_id(2)])
    return redis_client.xlen(container.keys().dead_letters), proposals, logs, set(windows)


async def test_what_is_old_is_counted_and_then_deleted(container: Container, redis_client: Any) -> None:
    before = await left(container, redis_client)

    assert await retention(container).apply(dry_run=True) == Expired(1, 2, 1, 1)
    assert await left(container, redis_client) == before

    assert await retention(container).apply(dry_run=False) == Expired(1, 2, 1, 1)
    assert await left(container, redis_client) == (
        1, {"proposed1", "proposed2", "accepted2", "rejected2"}, {log_id(2)}, {data_id(2)}
    )  # fmt: skip
    assert await retention(container).apply(dry_run=False) == Expired(0, 0, 0, 0)


async def test_what_is_kept_for_ever_stays(container: Container, redis_client: Any) -> None:
    before = await left(container, redis_client)
    names = ("dead_letters", "proposals", "usage_logs")
    for_ever = container.settings().model_copy(update={f"{name}_retention_days": 0.0 for name in names})
    container.settings.override(for_ever)

    assert await retention(container).apply(dry_run=False) == Expired(0, 0, 0, 0)
    assert await left(container, redis_client) == before


def test_usage_logs_are_kept_as_long_as_boards_are_made_of_them() -> None:
    assert load_settings().usage_logs_retention_days == 0
    assert load_settings(usage_logs_retention_days=62).usage_logs_retention_days == 62
    with pytest.raises(SettingsError, match="USAGE_LOGS_RETENTION_DAYS: must be 0, or at least 62"):
        load_settings(usage_logs_retention_days=61)
