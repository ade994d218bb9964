"""Outages in words for an operator: what is silent, since when, and what happens to messages meanwhile."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from domains.kernel.errors import OutageKind
from infrastructure.observing.readable import local_time
from infrastructure.settings import Settings

_STATES = {
    OutageKind.UNREACHABLE: "has not answered",
    OutageKind.FORBIDDEN: "has refused our user, password or a permission",
    OutageKind.READ_ONLY: "has taken no writes",
    OutageKind.FULL: "has had no room left",
    OutageKind.STARTING: "has been loading its data",
    OutageKind.WRONG_TYPE: "has had a key of another type where one of ours belongs",
    OutageKind.UNUSABLE: "could not be used (the log says why)",
}
_MEANWHILE = {
    "redis": "Messages wait at their senders; what was read before is committed once it is back. Nothing is lost.",
    "store": "Messages stay on the stream and are committed once it is back. Nothing is lost.",
    "tasks": "Tasks wait; no message is affected.",
    "schedule": "Scheduled tasks wait and are caught up; no message is affected.",
    "status_channel": "Tasks run, but nobody hears how they end; no message is affected.",
    "jobs": "Focus cards and visits to sites wait; no message is affected.",
    "site_turns": "Visits to sites wait; no message is affected.",
}
_RUNBOOK = "deploy/runbook.md"


class Server(NamedTuple):
    """A server of ours, and where it is, without secrets."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class OutageReport:
    """`service` is the breaker's name, `since` in Unix seconds, or None where nobody has watched.

    `cause` is what the driver said.
    """

    service: str
    kind: OutageKind
    server: Server
    since: float | None
    cause: str

    def in_words(self, settings: Settings) -> str:
        since = "" if self.since is None else f" since {local_time(self.since, settings.zone)}"
        about = f"{self.server.name} at {self.server.address} {_STATES[self.kind]}{since}."
        return f"{about} {_MEANWHILE.get(self.service, '')}".strip()


def runbook_entry(settings: Settings) -> str:
    """Where the runbook says what to do about an outage: an address, or a path in the project."""
    return f"{settings.runbook_url or _RUNBOOK}#pomocorebreakeropen"


def server_of(service: str, settings: Settings) -> Server:
    """The server for which the breaker of that name waits: all but `store` wait for Redis."""
    return store_of(settings) if service == "store" else redis_of(settings)


def redis_of(settings: Settings) -> Server:
    if settings.redis_sentinels:
        return Server("Redis", f"{settings.redis_master_name} of the sentinels {settings.redis_sentinels}")
    if settings.redis_addr is None or settings.embeds_redis:
        return Server("Redis", str(settings.data_dir))
    return Server("Redis Cluster" if settings.redis_cluster else "Redis", settings.redis_addr)


def store_of(settings: Settings) -> Server:
    if settings.mongo_uri is not None:
        return Server("MongoDB", _hosts(settings.mongo_uri.get_secret_value()))
    if settings.database_url is not None:
        return Server("PostgreSQL", _hosts(settings.database_url.get_secret_value()))
    return Server("SQLite", str(settings.data_dir / "pomocore.db"))


def _hosts(url: str) -> str:
    """Hosts and ports of an address, without user, password, database and options."""
    return urlsplit(url).netloc.rpartition("@")[2]
