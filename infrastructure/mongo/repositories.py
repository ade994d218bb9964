"""The three collections as Spring reads and writes them (source: contract, "Out: MongoDB"), and one of our own.

An insert is an `insert_many(ordered=False)` for which a duplicate key is a success, so that it can be repeated.
Category updates are grouped by the values that they set, and go out as one bulk of `UpdateMany`.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from datetime import date
from math import isfinite
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from domains.categoryPattern.model import (
    CategoryPattern,
    Evidence,
    PatternKind,
    PatternProposal,
    ProposalStatus,
    new_category,
)
from domains.kernel.errors import StoreOutage, StoreRefused
from domains.kernel.window import Window
from domains.patternClassifier.corrections import Correction, CorrectionState
from domains.pomodoro.model import (
    CategorizedData,
    CategoryUpdate,
    PomodoroUsageLog,
    Session,
    best_by_window,
    start_of_day,
)
from infrastructure.mongo.client import Document, translated_errors
from infrastructure.mongo.field_names import CATEGORIZED_DATA, CATEGORIZED_DATA_ID, IS_LLM_BASED, POMODORO_USAGE_LOG
from infrastructure.mongo.raw_ids import documents_with
from infrastructure.mongo.writes import Group, Writes

CATEGORY_PATTERN = "category_pattern"
PATTERN_PROPOSAL = "pattern_proposal"
CORRECTION = "correction"

_LOOKED_UP = 5000
"""Documents in one reply to a look-up. Spring inserts one for each message, so a popular window has thousands."""
_PAGE = 1000  # documents: a page of 16 MiB could take longer than the socket's timeout if few documents match


class CategoryPatternRepositoryAdapter:
    """CategoryPatternRepositoryPort on MongoDB."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[CATEGORY_PATTERN]
        self._writes = Writes(self._collection)

    async def find_all(self) -> list[CategoryPattern]:
        with translated_errors():
            found = [_pattern_of(document) async for document in self._collection.find().sort("_id", 1)]
        return [pattern for pattern in found if pattern.category]

    async def count(self) -> int:
        with translated_errors():
            return int(await self._collection.count_documents({}))

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        documents = [
            {
                "_id": ObjectId(pattern.id),
                "category": pattern.category,
                "priority": pattern.priority,
                "appPatterns": list(pattern.app_patterns),
                "domainPatterns": list(pattern.domain_patterns),
            }
            for pattern in patterns
        ]
        failures, _ = await self._writes.insert(documents)
        if failures:
            raise StoreOutage(f"{CATEGORY_PATTERN}: {next(iter(failures.values()))}")

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        if not (document_id := await self._lowest_id(category)):
            await self.save_all([new_category(category)])
            document_id = await self._lowest_id(category)
        new = {"appPatterns": list(app_patterns), "domainPatterns": list(domain_patterns)}
        with translated_errors():
            for name in new:  # $addToSet refuses a null
                await self._collection.update_one({"_id": document_id, name: None}, {"$set": {name: []}})
            added = {name: {"$each": patterns} for name, patterns in new.items()}
            await self._collection.update_one({"_id": document_id}, {"$addToSet": added})

    async def _lowest_id(self, category: str) -> ObjectId | None:
        with translated_errors():
            found = await self._collection.find_one({"category": category}, {"_id": 1}, sort=[("_id", 1)])
        return None if found is None else found["_id"]


class PatternProposalRepositoryAdapter:
    """PatternProposalRepositoryPort on MongoDB, in a collection that Spring does not use."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[PATTERN_PROPOSAL]
        self._writes = Writes(self._collection)

    async def find_all(self) -> list[PatternProposal]:
        with translated_errors():
            return [_proposal_of(document) async for document in self._collection.find().sort("_id", 1)]

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        if not proposals:
            return
        documents = [_proposal_document(proposal) for proposal in proposals]
        failures, there = await self._writes.insert(documents)
        if failures:
            raise StoreRefused(f"{PATTERN_PROPOSAL}: {next(iter(failures.values()))}")
        updates = [UpdateOne({"_id": id_}, {"$set": d}) for d in documents if (id_ := d.pop("_id")) in there]
        if updates:
            with translated_errors():
                await self._collection.bulk_write(updates, ordered=False)

    async def delete_all(self, ids: Collection[str]) -> None:
        with translated_errors():
            await self._collection.delete_many({"_id": {"$in": list(ids)}})


class CorrectionRepositoryAdapter:
    """CorrectionRepositoryPort on MongoDB, in a collection that Spring does not use."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[CORRECTION]
        self._writes = Writes(self._collection)

    async def find_all(self) -> list[Correction]:
        with translated_errors():
            found = self._collection.find().sort([("time", -1), ("_id", 1)])
            return [_correction_of(document) async for document in found]

    async def save(self, correction: Correction) -> None:
        document = _correction_document(correction)
        failures, there = await self._writes.insert([document])
        if failures:
            raise StoreRefused(f"{CORRECTION}: {next(iter(failures.values()))}")
        if there:
            with translated_errors():
                changed = {name: it for name, it in document.items() if name != "_id"}
                await self._collection.update_one({"_id": correction.id}, {"$set": changed})

    async def settle(self, correction: Correction) -> bool:
        unchanged = {"_id": correction.id, "time": correction.time}
        with translated_errors():
            if correction.state is CorrectionState.UNDOING:
                return bool((await self._collection.delete_one(unchanged)).deleted_count)
            changed = {"state": correction.state.value, "logs": correction.logs, "seconds": correction.seconds}
            return bool((await self._collection.update_one(unchanged, {"$set": changed})).matched_count)

    async def delete(self, ids: Iterable[str]) -> int:
        with translated_errors():
            return (await self._collection.delete_many({"_id": {"$in": list(ids)}})).deleted_count


class CategorizedDataRepositoryAdapter:
    """CategorizedDataRepositoryPort on MongoDB."""

    def __init__(self, database: AsyncDatabase[Document], create_index: bool = True) -> None:
        self._collection = database[CATEGORIZED_DATA]
        self._writes = Writes(self._collection)
        self._index_wanted = create_index

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        if not windows:
            return {}
        await self._create_index()
        found: dict[Window, CategorizedData] = {}
        while True:
            left = set(windows) - found.keys()
            page = await self._look_up(left) if left else []
            found |= best_by_window(page)
            if len(page) < _LOOKED_UP:
                return found

    async def _look_up(self, windows: Collection[Window]) -> list[CategorizedData]:
        """The first documents of `windows`; those that have a category come first."""
        wanted = [
            {"app": _part(window.app), "url": _part(window.url), "title": _part(window.title)} for window in windows
        ]
        with translated_errors():
            documents = self._collection.find({"$or": wanted}, batch_size=_LOOKED_UP + 1)
            first = documents.sort([("categoryId", -1), ("_id", 1)]).limit(_LOOKED_UP)
            return [data_of(document) async for document in first]

    async def find_by_ids(self, ids: Collection[str]) -> dict[str, CategorizedData]:
        with translated_errors():
            found = self._collection.find(documents_with(list(ids)), batch_size=_PAGE)
            return {data.id: data async for document in found if (data := data_of(document))}

    async def find_of_window(self, window: Window) -> list[CategorizedData]:
        query = {"app": _part(window.app), "url": _part(window.url), "title": _part(window.title)}
        await self._create_index()
        with translated_errors():
            return [data_of(document) async for document in self._collection.find(query, batch_size=_PAGE)]

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        with translated_errors():
            query = {"categoryId": {"$in": [ObjectId(category_id) for category_id in category_ids]}}
            found = self._collection.find(query).sort("_id", -1).limit(limit)
            return [data_of(document) async for document in found]

    async def _create_index(self) -> None:
        """Creates, once, the index that the look-up needs.

        It is not unique: Spring inserts a document for each message.
        """
        if self._index_wanted:
            with translated_errors():
                await self._collection.create_index([("app", 1), ("url", 1), ("title", 1)])
            self._index_wanted = False

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        failures, _ = await self._writes.insert(
            [
                {
                    "_id": ObjectId(data.id),
                    "app": data.window.app,
                    "url": data.window.url,
                    "title": data.window.title,
                    **_category(data.category_id),
                    IS_LLM_BASED.name: data.is_llm_based,
                }
                for data in documents
            ],
        )
        return failures

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        groups: dict[tuple[str, bool, bool], list[str]] = {}
        for ids, category_id, is_llm_based, provisional in updates:
            groups.setdefault((category_id, is_llm_based, provisional), []).extend(ids)
        return await self._writes.update(
            [
                Group(
                    ids,
                    {
                        "$set": {"categoryId": ObjectId(category_id), IS_LLM_BASED.name: is_llm_based},
                        "$unset": {IS_LLM_BASED.earlier: ""},
                    },
                    provisional,
                )
                for (category_id, is_llm_based, provisional), ids in groups.items()
            ],
        )

    async def find_llm_based(self) -> AsyncIterator[CategorizedData]:
        query = {"$or": [{IS_LLM_BASED.name: True}, {IS_LLM_BASED.earlier: True}]}
        wanted = {"app": 1, "url": 1, "title": 1, "categoryId": 1, IS_LLM_BASED.name: 1, IS_LLM_BASED.earlier: 1}
        with translated_errors():
            async for document in self._collection.find(query, wanted, batch_size=_PAGE):
                if (data := data_of(document)).is_llm_based:
                    yield data


class PomodoroUsageLogRepositoryAdapter:
    """PomodoroUsageLogRepositoryPort on MongoDB. A date is stored as midnight in `zone`, the Spring server's zone."""

    def __init__(self, database: AsyncDatabase[Document], zone: ZoneInfo, create_index: bool = True) -> None:
        self._collection = database[POMODORO_USAGE_LOG]
        self._writes = Writes(self._collection)
        self._zone = zone
        self._index_wanted = create_index

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        midnights = {log.session_date: start_of_day(log.session_date, self._zone) for log in documents}
        failures, there = await self._writes.insert(
            [
                {
                    "_id": ObjectId(log.id),
                    "userId": log.user_id,
                    CATEGORIZED_DATA_ID.name: ObjectId(log.categorized_data_id),
                    **_category(log.category_id),
                    "session": log.session,
                    "sessionMinutes": log.session_minutes,
                    "sessionDate": midnights[log.session_date],
                    "timestamp": log.timestamp,
                    "duration": log.duration,
                }
                for log in documents
            ],
        )
        again = [log for log in documents if log.id in there - set(provisional)]
        updates = [CategoryUpdate([log.id], log.category_id, False) for log in again if log.category_id]
        return failures | await self.update_category_all(updates)

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        groups: dict[tuple[str, bool], list[str]] = {}
        for ids, category_id, _, provisional in updates:
            groups.setdefault((category_id, provisional), []).extend(ids)
        return await self._writes.update(
            [
                Group(ids, {"$set": {"categoryId": ObjectId(category_id)}}, provisional)
                for (category_id, provisional), ids in groups.items()
            ],
        )

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        midnight = start_of_day(session_date, self._zone)
        query = {"userId": user_id, "sessionDate": midnight, "session": session}
        with translated_errors():
            return [
                log_of(document, self._zone)
                async for document in self._collection.find(query).sort([("timestamp", 1), ("_id", 1)])
            ]

    async def find_of_users(self, user_ids: Collection[str], start: float, end: float) -> list[PomodoroUsageLog]:
        query = {"userId": {"$in": list(user_ids)}, "timestamp": {"$gte": start, "$lt": end}}
        with translated_errors():
            if self._index_wanted:  # Spring's own begins with the user, and has no times
                await self._collection.create_index([("userId", 1), ("timestamp", 1)])
                self._index_wanted = False
            found = self._collection.find(query, batch_size=_PAGE)
            return [log_of(document, self._zone) async for document in found]

    async def find_of_windows(
        self, data_ids: Collection[str], user_id: str | None = None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        wanted = {"$in": [ObjectId(each) for each in data_ids]}
        either = {"$or": [{CATEGORIZED_DATA_ID.name: wanted}, {CATEGORIZED_DATA_ID.earlier: wanted}]}
        query = {**({} if user_id is None else {"userId": user_id}), **either}
        page: list[PomodoroUsageLog] = []
        with translated_errors():
            async for document in self._collection.find(query, batch_size=_PAGE):
                page.append(log_of(document, self._zone))
                if len(page) == _PAGE:
                    yield page
                    page = []
        if page:
            yield page

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        if not sessions:
            return set()
        named = {
            (session.user_id, start_of_day(session.session_date, self._zone), session.number): session
            for session in sessions
        }
        keys = [
            {"userId": user_id, "sessionDate": midnight, "session": number} for user_id, midnight, number in named
        ]
        with translated_errors():
            incomplete = {"$and": [{"$or": keys}, {"categoryId": None}]}
            found = self._collection.find(incomplete, {"_id": 0, "userId": 1, "sessionDate": 1, "session": 1})
            return {named[log["userId"], log["sessionDate"], log["session"]] async for log in found}

    async def find_by_ids(self, ids: Collection[str]) -> list[PomodoroUsageLog]:
        with translated_errors():
            found = self._collection.find(documents_with(list(ids)), batch_size=_PAGE)
            return [log_of(document, self._zone) async for document in found]

    async def find_in_period(
        self, start: float, end: float, unreadable: Callable[[str, str], None] = lambda log_id, reason: None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        page: list[PomodoroUsageLog] = []
        with translated_errors():
            query = {"timestamp": {"$gte": start, "$lt": end}}
            async for document in self._collection.find(query, batch_size=_PAGE):
                try:
                    page.append(log_of(document, self._zone))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    unreadable(str(document["_id"]), f"{type(error).__name__} {error}")
                if len(page) == _PAGE:
                    yield page
                    page = []
        if page:
            yield page


def _part(text: str) -> object:
    """Matches an empty part and an absent one: Spring leaves absent fields out."""
    return text if text else {"$in": ["", None]}


def _category(category_id: str | None) -> dict[str, ObjectId]:
    return {} if category_id is None else {"categoryId": ObjectId(category_id)}


def data_of(document: Document) -> CategorizedData:
    category_id = document.get("categoryId")
    return CategorizedData(
        str(document["_id"]),
        Window(document.get("app") or "", document.get("url") or "", document.get("title") or ""),
        None if category_id is None else str(category_id),
        bool(IS_LLM_BASED.value_in(document)),
    )


def _pattern_of(document: Document) -> CategoryPattern:
    """Accepts any document, since a malformed one must not stop the pipeline."""
    category, priority = document.get("category"), document.get("priority")
    return CategoryPattern(
        str(document["_id"]),
        category if isinstance(category, str) else "",
        int(priority) if isinstance(priority, int | float) and isfinite(priority) else None,
        _texts(document.get("appPatterns")),
        _texts(document.get("domainPatterns")),
    )


def _proposal_document(proposal: PatternProposal) -> Document:
    evidence = proposal.evidence
    return {
        "_id": proposal.id,
        "kind": proposal.kind.value,
        "pattern": proposal.pattern,
        "category": proposal.category,
        "answers": evidence.answers,
        "windows": evidence.windows,
        # a list, since a category's name may contain characters that a field's name may not
        "others": [{"category": name, "answers": count} for name, count in evidence.others.items()],
        "examples": list(evidence.examples),
        "status": proposal.status.value,
        **({"decided": proposal.decided} if proposal.decided else {}),
        **({"site": evidence.site} if evidence.site else {}),
        **({"corrections": evidence.corrections} if evidence.corrections else {}),
    }


def _proposal_of(document: Document) -> PatternProposal:
    others = {other["category"]: other["answers"] for other in document["others"]}
    examples, site, corrections = (
        tuple(document["examples"]),
        document.get("site", 0.0),
        document.get("corrections", 0),
    )
    return PatternProposal(
        document["_id"],
        PatternKind(document["kind"]),
        document["pattern"],
        document["category"],
        Evidence(document["answers"], document["windows"], others, examples, site, corrections),
        ProposalStatus(document["status"]),
        document.get("decided", 0.0),
    )


def _correction_document(correction: Correction) -> Document:
    return {
        "_id": correction.id,
        "userId": correction.user_id,
        **correction.window._asdict(),
        "category": correction.category,
        "by": correction.by,
        "time": correction.time,
        "state": correction.state.value,
        "logs": correction.logs,
        "seconds": correction.seconds,
    }


def _correction_of(document: Document) -> Correction:
    return Correction(
        document["_id"],
        document["userId"],
        Window(document["app"], document["url"], document["title"]),
        document["category"],
        document["by"],
        document["time"],
        CorrectionState(document["state"]),
        document["logs"],
        document["seconds"],
    )


def _texts(values: object) -> tuple[str, ...]:
    listed = values if isinstance(values, list) else [values]
    return tuple(value for value in listed if isinstance(value, str))


def log_of(document: Document, zone: ZoneInfo) -> PomodoroUsageLog:
    category_id = document.get("categoryId")
    return PomodoroUsageLog(
        id=str(document["_id"]),
        user_id=document["userId"],
        categorized_data_id=str(CATEGORIZED_DATA_ID.value_in(document)),
        category_id=None if category_id is None else str(category_id),
        session=document["session"],
        session_minutes=document.get("sessionMinutes") or 0,
        session_date=document["sessionDate"].astimezone(zone).date(),
        timestamp=document["timestamp"],
        duration=document["duration"],
    )
