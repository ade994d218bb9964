"""The use case: decide what each span of a batch was, write it, and say what its commit counts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from time import monotonic
from typing import NamedTuple

from domains.kernel.window import Window
from domains.leaderboard.service import Aggregation, BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification, Tier
from domains.pomodoro.model import (
    CategorizedData,
    CategoryUpdate,
    Commit,
    DeferredMessage,
    PomodoroPatternClassifyMessage,
    PomodoroUsageLog,
    Posting,
    SessionEnd,
    categorized_data_id,
    usage_log_id,
)
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort
from domains.pomodoro.posting import Postings, source_of

_SENT_SECONDS = 2
"""How long after its creation a log may be on the stream at the latest, unless it is repeated."""


class Span(NamedTuple):
    """A message and, where it came without ids, the document that its window already has."""

    message: PomodoroPatternClassifyMessage
    document: CategorizedData | None = None


class Decided(NamedTuple):
    """`deferred`: the category is provisional, and the LLM will be asked when it is back."""

    span: Span
    classification: Classification
    deferred: bool = False


_new_span = partial(tuple.__new__, Span)
_new_decided = partial(tuple.__new__, Decided)
"""Thousands are made of a batch: `map` makes them without a call in Python each."""


class WriteSet:
    """The documents and updates of a batch, each collection's in one list: one write a list."""

    def __init__(self, stream: str, decided: Collection[Decided]) -> None:
        self._stream = stream
        self._decided = decided
        self.new_data: dict[Window, CategorizedData] = {}
        self.data_updates: list[CategoryUpdate] = []
        self.new_logs: list[PomodoroUsageLog] = []
        self.log_updates: list[CategoryUpdate] = []
        self.provisional_logs: set[str] = set()
        groups: dict[tuple[Classification, bool], tuple[list[str], list[str]]] = {}
        for item in decided:
            (message, _), classification, deferred = item
            if message.categorized_data_id is None or message.pomodoro_usage_log_id is None:
                self._add(item)
                continue
            ids = groups.get((classification, deferred))
            if ids is None:
                ids = groups[classification, deferred] = [], []
            ids[0].append(message.categorized_data_id)
            ids[1].append(message.pomodoro_usage_log_id)
        for ((_, category_id, is_llm_based, tier), deferred), (data_ids, log_ids) in groups.items():
            if tier is not Tier.CORRECTION:
                self.data_updates.append(CategoryUpdate(data_ids, category_id, is_llm_based, deferred))
            self.log_updates.append(CategoryUpdate(log_ids, category_id, is_llm_based, deferred))

    def failed_messages(self, failures: dict[str, str]) -> dict[str, str]:
        """{entry id: reason} of the messages one of whose documents is among `failures` ({document id: reason})."""
        failed: dict[str, str] = {}
        for span, _, _ in self._decided:
            reasons = [failures[id_] for id_ in document_ids(span, self._stream) if id_ in failures]
            if reasons:
                failed[span.message.entry_id] = reasons[0]
        return failed

    def _add(self, item: Decided) -> None:
        data_id, log_id = document_ids(item.span, self._stream)
        self._add_document(item, data_id)
        self.new_logs.append(_log_of(item.span.message, log_id, data_id, item.classification.category_id))
        if item.deferred:
            self.provisional_logs.add(log_id)

    def _add_document(self, item: Decided, data_id: str) -> None:
        """The window's document is created, or given its category where it says something else."""
        window, document = item.span.message.window, item.span.document
        _, category_id, is_llm_based, tier = item.classification
        if tier is Tier.CORRECTION:  # it stands above documents, which other users' windows share
            if document is None:
                self.new_data.setdefault(window, CategorizedData(data_id, window, None))
            return
        if document is None:
            self.new_data.setdefault(window, CategorizedData(data_id, window, category_id, is_llm_based))
            outdated = is_llm_based  # an instance to which the LLM gave no answer may just have inserted it
        else:
            outdated = (document.category_id, document.is_llm_based) != (category_id, is_llm_based)
        if outdated:
            self.data_updates.append(CategoryUpdate([data_id], category_id, is_llm_based, item.deferred))


def document_ids(span: Span, stream: str) -> tuple[str, str]:
    """The ids of the message's documents: of its window, and of its log."""
    message, document = span
    if message.categorized_data_id is not None and message.pomodoro_usage_log_id is not None:
        return message.categorized_data_id, message.pomodoro_usage_log_id
    data_id = categorized_data_id(message.window) if document is None else document.id
    return data_id, usage_log_id(stream, message.origin_id)


def possible_repeats(messages: Sequence[PomodoroPatternClassifyMessage]) -> list[str]:
    """The logs of a batch that may have counted before.

    Spring creates a log right before it sends the message, and the id of a log begins with the time of its creation.
    So a log that is not older than the first entry of the batch counts here for the first time, or is repeated within
    seconds; then the same category would be written again, and the commit sees it.
    """
    first = int(messages[0].entry_id.partition("-")[0]) // 1000 - _SENT_SECONDS
    fresh = f"{max(first, 0):08x}"
    log_ids = [message.pomodoro_usage_log_id for message in messages]
    return [log_id for log_id in log_ids if log_id is not None and log_id < fresh]


class KnownWindows:
    """Classified documents of windows, remembered for a minute.

    Spring inserts a document a message, so that a popular window has thousands: to look each of them up with every
    batch would cost more than all the rest. A minute is how long a change in the store may go unseen.
    """

    _SECONDS = 60.0
    _ENTRIES = 20_000
    _CHARACTERS = 1_000

    def __init__(self) -> None:
        self._documents: dict[Window, CategorizedData] = {}
        self._since = monotonic()

    def of(self, windows: Iterable[Window]) -> dict[Window, CategorizedData]:
        if monotonic() - self._since > self._SECONDS or len(self._documents) > self._ENTRIES:
            self._documents.clear()
            self._since = monotonic()
        return {window: self._documents[window] for window in windows if window in self._documents}

    def remember(self, documents: Iterable[CategorizedData]) -> None:
        for document in documents:
            if document.category_id is not None and sum(map(len, document.window)) <= self._CHARACTERS:
                self._documents[document.window] = document


class BatchClassification:
    """Decides, writes and sums up batches. `stream` is the stream's key: it is part of the ids of new logs.

    With `postings`, commits tell what they count.
    """

    def __init__(
        self,
        classifier: PatternClassifier,
        categorized: CategorizedDataRepositoryPort,
        logs: PomodoroUsageLogRepositoryPort,
        calendar: BoardCalendar,
        stream: str,
        postings: Postings | None = None,
    ) -> None:
        self._postings = postings
        self._classifier = classifier
        self._categorized = categorized
        self._logs = logs
        self._calendar = calendar
        self._stream = stream
        self._known_windows = KnownWindows()

    def documents_of(
        self, messages: Iterable[PomodoroPatternClassifyMessage]
    ) -> tuple[dict[Window, CategorizedData], set[Window]]:
        """The documents of windows without ids, as far as they are known here, and the windows to look up."""
        windows = {message.window for message in messages if message.categorized_data_id is None}
        known = self._known_windows.of(windows)
        return known, windows - known.keys()

    async def look_up(self, windows: set[Window]) -> dict[Window, CategorizedData]:
        """The documents that the store has for `windows`. Raises StoreOutage."""
        found = await self._categorized.find_many_by_app_url_title_batch(windows)
        self._known_windows.remember(found.values())
        return found

    def decide(
        self,
        messages: Sequence[PomodoroPatternClassifyMessage],
        documents: Mapping[Window, CategorizedData],
    ) -> tuple[list[Decided], list[Span]]:
        """What can be decided at once, and what has to ask the slow tiers.

        A window without ids that already has a classified document keeps that document's category; everything
        else goes by the rules.
        """
        corrections = self._corrections(messages)
        if not documents and not corrections:
            found = self._classifier.all_at_once([message.window for message in messages])
            if None not in found:
                spans = map(_new_span, zip(messages, repeat(None), strict=False))
                return list(map(_new_decided, zip(spans, found, repeat(False), strict=False))), []
        decided, undecided = [], []
        for message in messages:
            document = documents.get(message.window) if message.categorized_data_id is None else None
            classification = corrections.get((message.user_id, message.window))
            if classification is None:
                classification = self._known(document) or self._classifier.at_once(message.window)
            span = Span(message, document)
            if classification is None:
                undecided.append(span)
            else:
                decided.append(Decided(span, classification))
        return decided, undecided

    async def write(self, decided: Collection[Decided]) -> dict[str, str]:
        """Writes the categories. Returns {entry id: reason} of the messages whose documents could not be written.

        The windows go first, so that no log ever points at one that is not there. Raises StoreOutage, and
        StoreRefused where it is not known which message is to blame.
        """
        writes = WriteSet(self._stream, decided)
        failures: dict[str, str] = {}
        if writes.new_data:
            failures |= await self._categorized.save_all(list(writes.new_data.values()))
        if writes.data_updates:
            failures |= await self._categorized.update_category_all(writes.data_updates)
        if new_logs := [log for log in writes.new_logs if log.categorized_data_id not in failures]:
            failures |= await self._logs.save_all(new_logs, writes.provisional_logs)
        if writes.log_updates:
            failures |= await self._logs.update_category_all(writes.log_updates)
        return writes.failed_messages(failures) if failures else {}

    def commit_of(self, decided: Iterable[Decided]) -> Commit:
        """What committing these messages acknowledges, raises and ends."""
        aggregation, ends, postponed, posted = Aggregation(), [], [], dict[str, Posting]()
        boards_of, add = self._calendar.keys, aggregation.add
        for span, classification, deferred in decided:
            message = span.message
            boards = boards_of(classification.category, message.timestamp)
            add(message.user_id, boards, message.entry_id, message.duration, message.pomodoro_usage_log_id)
            if message.is_end:
                ends.append(SessionEnd(message.entry_id, message.of_session))
            if deferred:
                postponed.append(self._deferred(span, classification))
            if self._postings is not None:
                log_id = message.pomodoro_usage_log_id or usage_log_id(self._stream, message.origin_id)
                posted[message.entry_id] = self._postings.counted(message, log_id, classification)
        return Commit(aggregation.entries, ends, deferred=postponed, postings=posted)

    def _deferred(self, span: Span, classification: Classification) -> DeferredMessage:
        message = span.message
        data_id, log_id = document_ids(span, self._stream)
        return DeferredMessage(
            id=message.entry_id,
            user_id=message.user_id,
            window=message.window,
            duration=message.duration,
            timestamp=message.timestamp,
            category=classification.category,
            categorized_data_id=data_id,
            pomodoro_usage_log_id=log_id,
            session=message.of_session,
            tier=classification.tier if self._postings else "",
            source=source_of(message.fields) if self._postings else "",
        )

    def _corrections(
        self, messages: Iterable[PomodoroPatternClassifyMessage]
    ) -> dict[tuple[str, Window], Classification]:
        """What persons have said of the windows of these users."""
        if not self._classifier.corrections:
            return {}
        keys = {(message.user_id, message.window) for message in messages}
        return {key: found for key in keys if (found := self._classifier.corrected(*key)) is not None}

    def _known(self, document: CategorizedData | None) -> Classification | None:
        if document is None:
            return None
        return self._classifier.snapshot.stored(document.category_id, document.is_llm_based, document.window)


def _log_of(message: PomodoroPatternClassifyMessage, log_id: str, data_id: str, category_id: str) -> PomodoroUsageLog:
    return PomodoroUsageLog(
        id=log_id,
        user_id=message.user_id,
        categorized_data_id=data_id,
        category_id=category_id,
        session=message.session,
        session_minutes=message.session_minutes,
        session_date=message.session_date,
        timestamp=message.timestamp,
        duration=message.duration,
    )
