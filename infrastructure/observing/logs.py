"""Structured logs on one stream: readable in a terminal, JSON in production.

Every event has an `event` text that does not change, so that one can search for it, and an `action` to filter by.
Window titles and URLs are never logged above debug level.
"""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from time import time
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from infrastructure.process.spared_imports import without

with without("rich"):  # for tracebacks with the values of variables, which no log may show
    import structlog

from structlog.typing import EventDict, ExcInfo, Processor
from typing_extensions import override

from domains.focusCard.model import Run, RunFigures
from domains.kernel.errors import Outage, PipelineError, RedisOutage
from domains.operations.model import TaskState, TaskStatus
from domains.patternClassifier.model import PatternProblem, PauseReason, Tier
from domains.pomodoro.model import CommitResult, DeadLetter, Lane, StreamState
from domains.siteProfile.model import SiteProfile, VisitOutcome
from infrastructure.observing.observers import Observer
from infrastructure.observing.printable import printable, printable_json, printable_lines
from infrastructure.observing.readable import local_time
from infrastructure.settings import Settings


def configure_logging(settings: Settings, level: str | None = None, stream: TextIO | None = None) -> None:
    """Configures the log.

    Our own events are logged from `level` (default: LOG_LEVEL) up, those of libraries from warning.
    They go to `stream`; default: standard output.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        partial(_stamped, zone=settings.zone, iso=settings.app_env == "prod"),
    ]
    stream = stream or sys.stdout
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False), _printable_json]
        if settings.app_env == "prod"
        else [_printable_values, _console_renderer(stream)]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("pomocore").setLevel((level or settings.log_level).upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _stamped(logger: object, method: str, event: EventDict, zone: ZoneInfo, iso: bool) -> EventDict:
    """With the time in the zone of the boards: with its offset for machines, with its name for people."""
    now = time()
    moment = datetime.fromtimestamp(now, zone).isoformat("T", "milliseconds") if iso else local_time(now, zone)
    event["timestamp"] = moment
    return event


def _printable_json(logger: object, method: str, line: Any) -> str:
    return printable_json(line)


def _printable_values(logger: object, method: str, event: EventDict) -> EventDict:
    """What the console renderer would print as it is; it prints all else as `repr` does."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _console_renderer(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    return structlog.dev.ConsoleRenderer(pad_event_to=50, colors=colors, exception_formatter=_write_traceback)


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """Without the values of variables, among which there are tokens and titles."""
    out.write("\n" + printable_lines("".join(traceback.format_exception(*exc_info))))


def announce_stores(settings: Settings) -> None:
    structlog.stdlib.get_logger("pomocore").info(describe_stores(settings), action="start")


def announce_shared_data(settings: Settings, other: int) -> None:
    structlog.stdlib.get_logger("pomocore").warning(
        "Another pipeline is at work on the same DATA_DIR, and both share what comes. Name another DATA_DIR to keep "
        "them apart",
        action="data_dir_shared",
        data_dir=str(settings.data_dir),
        process=other,
    )


def describe_stores(settings: Settings) -> str:
    """One line that says which stores are used."""
    store = (
        "MongoDB"
        if settings.mongo_uri
        else "PostgreSQL"
        if settings.database_url
        else f"SQLite in {settings.data_dir}"
    )
    redis = settings.redis_addr or f"an embedded redis-server in {settings.data_dir}"
    if settings.redis_sentinels:
        redis = f"{settings.redis_master_name} of the sentinels {settings.redis_sentinels}"
    return f"Consuming {settings.stream_key} from {redis}, documents in {store}"


def announce_not_loaded(part: str, cause: Exception) -> None:
    structlog.stdlib.get_logger("pomocore").warning(
        f"{part} not loaded, the pipeline runs without it",
        action="not_loaded",
        part=part,
        cause=f"{type(cause).__name__}: {cause}",
    )


class LoggingObserver(Observer):
    """ConsumerObserver and ClassifierObserver that write to the log.

    The contract prescribes the text of the lines with the actions `commit` and `leaderboard`.
    """

    def __init__(self, stream_max_backlog: int) -> None:
        self._stream_max_backlog = stream_max_backlog
        self._log = structlog.stdlib.get_logger("pomocore")

    @override
    def batch_read(self, count: int) -> None:
        self._log.debug("Read messages", action="read", messages=count)

    @override
    def batch_committed(self, result: CommitResult, seconds: float, lane: Lane = Lane.FAST) -> None:
        if result.messages:
            self._log.info(
                f"Successfully processed batch of {result.messages} messages",
                action="commit",
                messages=result.messages,
                milliseconds=round(seconds * 1000, 1),
            )
        if result.scores:
            self._log.info(
                f"Successfully updated leaderboard with {result.scores} aggregated entries",
                action="leaderboard",
                entries=result.scores,
            )
        if result.duplicates:
            self._log.info("Messages came again", action="duplicates", messages=result.duplicates)
        self._failed_scores(result)

    @override
    def site_visited(self, site: str, outcome: VisitOutcome, seconds: float) -> None:
        self._log.info("Visited a site", action="site_visited", site=site, outcome=outcome, seconds=round(seconds, 2))

    @override
    def site_concluded(self, profile: SiteProfile) -> None:
        self._log.info(
            "Analysed a site",
            action="site_analysed",
            site=profile.site,
            category=profile.category,
            confidence=profile.confidence,
        )

    @override
    def job_failed(self, queue: str, key: str, cause: Exception, retry_in: float | None) -> None:
        told = "A job failed, trying again" if retry_in is not None else "A job failed for good"
        level = self._log.warning if retry_in is not None else self._log.error
        level(told, action="job_failed", queue=queue, job=key, retry_in=retry_in, cause=_text_of(cause))

    @override
    def work_breaker_changed(self, queue: str, is_open: bool, cause: Outage | None) -> None:
        self.breaker_changed(queue, is_open, cause)

    @override
    def cards_run_ended(self, run: Run, figures: RunFigures) -> None:
        self._log.info("Made all focus cards", action="cards_made", run=run.id, **figures._asdict())

    @override
    def webhook_told(self, host: str, outcome: str) -> None:
        self._log.info("Posted the best card", action="card_posted", host=host, outcome=outcome)

    @override
    def sites_queued(self, sites: int) -> None:
        self._log.info("Queued unknown sites for a visit", action="sites_queued", sites=sites)

    @override
    def sites_not_noted(self, cause: RedisOutage) -> None:
        self._log.warning(
            "Users of unknown sites could not be counted", action="sites_not_noted", cause=_text_of(cause)
        )

    @override
    def sessions_announced(self, sessions: int, impatient: int) -> None:
        if sessions:
            self._log.info("Announced ended sessions", action="session_end", sessions=sessions)
        if impatient:
            self._log.warning(
                "Sessions were announced although messages of theirs have no category yet",
                action="session_end_impatient",
                sessions=impatient,
            )

    @override
    def announcing_failed(self, cause: PipelineError) -> None:
        self._log.warning("Ended sessions cannot be announced now", action="session_end_failed", cause=str(cause))

    def _failed_scores(self, result: CommitResult) -> None:
        if result.failure:
            self._log.error(
                "A board or the session event stream refused a write, which is kept for replay",
                action="leaderboard_failed",
                entries=result.failed_scores,
                cause=result.failure,
            )

    @override
    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self._log.warning(
                "Message moved to the dead letters",
                action="dead_letter",
                message_id=letter.entry_id,
                reason=letter.reason,
            )

    @override
    def message_failed(self, entry_id: str, attempt: int, reason: str) -> None:
        self._log.warning(
            "Message failed by itself", action="retry", message_id=entry_id, attempt=attempt, reason=reason
        )

    @override
    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None:
        if is_open:
            self._log.error("Outage, waiting", action="breaker_open", service=name, cause=str(cause))
        else:
            self._log.info("Outage is over", action="breaker_closed", service=name)

    @override
    def stream_tidied(self, state: StreamState) -> None:
        if state.trimmed or state.removed_consumers:
            self._log.debug(
                "Tidied the stream",
                action="tidy",
                trimmed=state.trimmed,
                length=state.length,
                removed_consumers=state.removed_consumers,
            )
        if state.length > self._stream_max_backlog:
            self._log.warning(
                "The stream is longer than STREAM_MAX_BACKLOG",
                action="backlog",
                length=state.length,
                limit=self._stream_max_backlog,
            )

    @override
    def stopping(self, in_flight: int) -> None:
        self._log.info("Stopping: finishing what is in flight", action="stopping", messages=in_flight)

    @override
    def stopped(self, left_pending: int) -> None:
        self._log.info("Stopped", action="stopped", left_pending=left_pending)

    @override
    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None:
        self._log.info("Loaded category patterns", action="patterns", patterns=count)
        for problem in problems:
            self._log.warning(
                "A category pattern has a problem",
                action="pattern_problem",
                category=problem.category,
                pattern=problem.pattern,
                reason=problem.reason,
            )

    @override
    def waits_for_patterns(self, cause: PipelineError) -> None:
        self._log.error("Nothing is read: there are no patterns", action="patterns", cause=str(cause))

    @override
    def patterns_not_loaded(self, cause: PipelineError) -> None:
        self._log.warning(
            "Could not load the category patterns, the loaded ones stay in use", action="patterns", cause=str(cause)
        )

    @override
    def tier_failed(self, tier: Tier, cause: Exception) -> None:
        self._log.warning(
            "A tier of the classifier could not be asked", action="tier_failed", tier=tier, cause=_text_of(cause)
        )

    @override
    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None:
        self._log.debug(
            "LLM answered",
            action="llm_answered",
            windows=windows,
            answered=answered,
            tokens=tokens,
            milliseconds=round(seconds * 1000, 1),
        )

    @override
    def llm_failed(self, windows: int, cause: Exception) -> None:
        self._log.warning("LLM gave no answer", action="llm_failed", windows=windows, cause=_text_of(cause))

    @override
    def llm_share_spent(self, seconds: float) -> None:
        self._log.warning(
            "A user has spent their share of the LLM's budget", action="llm_share_spent", seconds=round(seconds)
        )

    @override
    def llm_paused(self, reason: PauseReason, seconds: float) -> None:
        self._log.warning("LLM is not asked for a while", action="llm_paused", reason=reason, seconds=round(seconds))

    @override
    def reclassified(self, result: CommitResult) -> None:
        if result.moved:
            self._log.info(
                "Reclassified messages", action="reclassified", messages=result.moved, scores=result.scores
            )
        self._failed_scores(result)

    @override
    def events_rebuilt(self, day: str, added: int) -> None:
        self._log.info("Compared the events of a day with its logs", action="events_rebuilt", day=day, added=added)

    @override
    def export_failed(self, stream: str, cause: PipelineError) -> None:
        self._log.warning("Events cannot be exported now", action="export_failed", stream=stream, cause=str(cause))

    @override
    def schedule_caught_up(self, task: str, due: datetime) -> None:
        self._log.warning(
            "Caught up a scheduled task that was missed",
            action="schedule_caught_up",
            task=task,
            due=due.isoformat(timespec="minutes"),
        )

    @override
    def task_told(self, status: TaskStatus) -> None:
        log = self._log.warning if status.status is TaskState.FAILED else self._log.info
        log("Status of a task", action="task", status=status.status, task=status.task, id=status.id, data=status.data)

    @override
    def reclassification_failed(self, cause: PipelineError) -> None:
        self._log.warning(
            "Deferred messages could not be reclassified now", action="reclassification_failed", cause=str(cause)
        )


def _text_of(cause: Exception) -> str:
    """The text of an expected error; of any other one only the type, since its text may repeat a title."""
    return str(cause) if isinstance(cause, PipelineError) else type(cause).__name__
