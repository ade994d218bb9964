"""The suite's own access to the documents.

It writes and reads them as the Spring server does, and bypasses all faults.
"""

from datetime import UTC, datetime
from random import Random
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.uri_parser import parse_uri

from tests.chaos.model import APPS, HOSTS, OTHERS, UNCATEGORIZED, WORK, Session, midnight, session_of
from tests.chaos.workload import Batch
from tests.chaos.write_faults import StoreProxy


class SpringStore:
    """The three collections of one round, in a database of its own that `drop` removes."""

    def __init__(self, uri: str, database: str) -> None:
        host, port = parse_uri(uri)["nodelist"][0]
        self.proxy = StoreProxy(host, port)
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, tz_aware=True, tzinfo=UTC)
        self._name = database
        self.database = self._client[database]
        self.patterns = self.database["category_pattern"]
        self.windows = self.database["categorized_data"]
        self.logs = self.database["pomodoro_usage_log"]
        self._names: dict[Any, str] = {}

    @property
    def refused(self) -> int:
        """How many writes were refused."""
        return self.proxy.refused

    def settings(self, rng: Random) -> dict[str, str]:
        """Those by which an instance reaches the store through the proxy."""
        timeouts = "connectTimeoutMS=2000&socketTimeoutMS=3000&serverSelectionTimeoutMS=2000"
        return {
            "MONGO_URI": f"mongodb://{self.proxy.address}/?directConnection=true&{timeouts}",
            "MONGO_DATABASE": self._name,
            "MONGO_DRIVER": rng.choice(("motor", "pymongo")),
        }

    async def refuse(self, refusing: bool) -> None:
        """Logs of the users in REFUSED are refused from now on, or not any more."""
        self.proxy.refusing = refusing

    async def fail_writes(self, failure: dict[str, Any] | None) -> None:
        """All writes fail with NOT_PRIMARY or NO_MAJORITY, until None is given."""
        self.proxy.writes_fail_with = failure

    async def heal(self) -> None:
        self.proxy.heal()

    async def prepare(self, with_uncategorized: bool) -> None:
        """Inserts the model's patterns. `Uncategorized` may be missing, and then the pipeline has to create it."""
        await self.logs.create_index([("userId", 1), ("sessionDate", 1), ("session", 1)])
        categories: dict[str, dict[str, list[str]]] = {
            category: {"appPatterns": [], "domainPatterns": []} for category in sorted({*WORK, *OTHERS})
        }
        for kind, table in (("appPatterns", APPS), ("domainPatterns", HOSTS)):
            for pattern, category in table.items():
                categories[category][kind].append(pattern)
        if with_uncategorized:
            categories[UNCATEGORIZED] = {"appPatterns": [], "domainPatterns": []}
        await self.patterns.insert_many(
            {"category": category, "priority": priority, **patterns}
            for priority, (category, patterns) in enumerate(categories.items())
        )

    async def insert_as_spring(self, batch: Batch) -> None:
        if not batch.logs:
            return
        await self.windows.insert_many({**window, "_id": ObjectId(window["_id"])} for window in batch.windows)
        await self.logs.insert_many(_log_without_category(log) for log in batch.logs)

    async def category_name(self, category_id: Any) -> str | None:
        """The category of a document; None if it has none."""
        if category_id is None:
            return None
        if category_id not in self._names:
            self._names = {found["_id"]: found["category"] async for found in self.patterns.find()}
        return self._names.get(category_id, f"unknown category {category_id}")

    async def logs_of(self, session: Session) -> list[dict[str, Any]]:
        """The query of Spring's scoring."""
        query = {"userId": session.user, "sessionDate": _instant(session.date), "session": int(session.number)}
        return await self.logs.find(query).to_list()

    async def drop(self) -> None:
        await self._client.drop_database(self._name)

    async def close(self) -> None:
        await self._client.close()


def _log_without_category(log: dict[str, Any]) -> dict[str, Any]:
    fields = log["fields"]
    return {
        "_id": ObjectId(log["_id"]),
        "userId": fields["userId"],
        "CategorizedDataId": ObjectId(log["categorizedDataId"]),
        "session": int(fields["session"]),
        "sessionMinutes": int(fields.get("sessionMinutes", 0)),
        "sessionDate": _instant(session_of(fields).date),
        "timestamp": float(fields["timestamp"]),
        "duration": float(fields["duration"]),
    }


def _instant(date: str) -> datetime:
    return datetime.fromtimestamp(midnight(date), UTC)
