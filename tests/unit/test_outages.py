"""What an operator is told of an outage: no secrets, and where our servers are."""

import pytest
from pydantic import SecretStr

from domains.kernel.errors import OutageKind
from infrastructure.operations.outages import OutageReport, redis_of, runbook_entry, server_of, store_of
from infrastructure.settings import Settings, load_settings

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("settings", "redis", "store"),
    [
        ({}, ("Redis", ".data"), ("SQLite", ".data/pomocore.db")),
        ({"redis_addr": "redis:6379"}, ("Redis", "redis:6379"), ("SQLite", ".data/pomocore.db")),
        (
            {
                "redis_addr": "[::1]:7000",
                "redis_cluster": True,
                "database_url": f"postgresql://u:{SECRET}@pg:5432/db",
            },
            ("Redis Cluster", "[::1]:7000"),
            ("PostgreSQL", "pg:5432"),
        ),
        (
            {"redis_sentinels": "s1:26379,s2:26379", "mongo_uri": f"mongodb://u:{SECRET}@h1:27017,h2/?replicaSet=rs"},
            ("Redis", "mymaster of the sentinels s1:26379,s2:26379"),
            ("MongoDB", "h1:27017,h2"),
        ),
        (
            {"redis_addr": "r:1", "mongo_uri": f"mongodb+srv://u:{SECRET}@cluster.example.net"},
            ("Redis", "r:1"),
            ("MongoDB", "cluster.example.net"),
        ),
    ],
)
def test_where_the_stores_are(settings: dict[str, object], redis: tuple[str, str], store: tuple[str, str]) -> None:
    loaded = load_settings(**settings)

    assert (redis_of(loaded), store_of(loaded)) == (redis, store)


@pytest.mark.parametrize("kind", OutageKind)
@pytest.mark.parametrize("service", ["redis", "store", "tasks", "schedule", "status_channel", "jobs", "site_turns"])
def test_every_outage_says_what_is_wrong_and_what_becomes_of_messages(service: str, kind: OutageKind) -> None:
    settings = Settings(redis_addr="redis:6379", mongo_uri=SecretStr(f"mongodb://u:{SECRET}@mongo/"))
    report = OutageReport(service, kind, server_of(service, settings), 1_756_771_234.0, f"TimeoutError: {SECRET}")
    words = report.in_words(settings)

    assert words.startswith("MongoDB at mongo " if service == "store" else "Redis at redis:6379 ")
    assert " since 2025-09-02 09:00:34 KST. " in words
    assert words.endswith(("is lost.", "is affected."))
    assert "Error" not in words
    assert SECRET not in words


def test_the_runbook_is_where_a_setting_says() -> None:
    assert runbook_entry(load_settings()) == "deploy/runbook.md#pomocorebreakeropen"
    shown = load_settings(runbook_url="https://git.example.org/runbook")
    assert runbook_entry(shown) == "https://git.example.org/runbook#pomocorebreakeropen"
