"""What a commit tells others of the spans that it counts.

Spans are told as postings, of which a second one takes back the first where a category changes. So their sums equal
the boards without anybody having to find out which ones are still valid.
"""

from collections.abc import Mapping
from functools import lru_cache

from domains.kernel.window import Window
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.model import Classification
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.urls import split_url
from domains.pomodoro.model import DeferredMessage, PomodoroPatternClassifyMessage, PomodoroUsageLog, Posting

SOURCES = frozenset({"spring", "collector", "bridge", "replay"})
"""Who puts spans on the stream: the entry's field `source`. Without one, the collector gives an `eventId`, in which
the bridge names itself; Spring gives none."""
_OF_BRIDGE = "aw-"
_CHARACTERS = 200


class Postings:
    """Makes postings. Of a private window neither app nor host is told, of others never a path or a title."""

    def __init__(self, calendar: BoardCalendar, privacy: Privacy) -> None:
        self._calendar = calendar
        self._privacy = privacy
        self._shown = lru_cache(20_000)(self._find_shown)

    def counted(
        self, message: PomodoroPatternClassifyMessage, log_id: str, classification: Classification
    ) -> Posting:
        category, timestamp = classification.category, message.timestamp
        app, host = self._shown(message.window.app, message.window.url)
        return Posting(
            message.user_id,
            log_id,
            self._calendar.day(timestamp).isoformat(),
            timestamp,
            message.duration,
            message.session_date.isoformat(),
            message.session,
            category,
            category in self._calendar.work_categories,
            classification.tier,
            app,
            host,
            source_of(message.fields),
            message.is_end,
        )

    def moved(self, message: DeferredMessage, classification: Classification) -> tuple[Posting, Posting]:
        """What takes back the interim category, and what counts the one that takes its place."""
        session = message.session
        app, host = self._shown(message.window.app, message.window.url)
        old = Posting(
            message.user_id,
            message.pomodoro_usage_log_id,
            self._calendar.day(message.timestamp).isoformat(),
            message.timestamp,
            -message.duration,
            session.session_date.isoformat() if session else "",
            session.number if session else 0,
            message.category,
            message.category in self._calendar.work_categories,
            message.tier,
            app,
            host,
            message.source or "spring",
        )
        return old, old._replace(
            seconds=message.duration,
            category=classification.category,
            work=classification.category in self._calendar.work_categories,
            tier=classification.tier,
        )

    def of_log(self, log: PomodoroUsageLog, category: str, window: Window | None) -> Posting:
        """What makes up for a posting that is missing, from the documents."""
        app, host = self._shown(window.app, window.url) if window else ("", "")
        return Posting(
            log.user_id,
            log.id,
            self._calendar.day(log.timestamp).isoformat(),
            log.timestamp,
            log.duration,
            log.session_date.isoformat(),
            log.session,
            category,
            category in self._calendar.work_categories,
            "",
            app,
            host,
            "rebuild",
        )

    def _find_shown(self, app: str, url: str) -> tuple[str, str]:
        if self._privacy.is_private(Window(app, url, "")):
            return "", ""
        return app[:_CHARACTERS], split_url(url)[0][:_CHARACTERS] if url else ""


def source_of(fields: Mapping[str, str]) -> str:
    if "source" in fields:
        return fields["source"] if fields["source"] in SOURCES else "other"
    if "eventId" in fields:
        return "bridge" if fields["eventId"].startswith(_OF_BRIDGE) else "collector"
    return "spring"
