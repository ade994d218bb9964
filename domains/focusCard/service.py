"""Making cards: what the boards say, what the logs add, and which cards have to be written at all."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from struct import pack
from time import monotonic, time
from typing import NamedTuple

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, PATTERN_CATEGORIES, UNCATEGORIZED
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.focusCard import summary
from domains.focusCard.documents import document_of
from domains.focusCard.model import CardKey, CardPlace, CardState, FocusCard, RunFigures, Scores, Span, StoredCard
from domains.focusCard.ports import BoardScoresPort, Categories, FocusCardStorePort
from domains.kernel.errors import RedisOutage
from domains.leaderboard.model import NOTHING_SECONDS, OVERALL_BOARD, Period, board_key
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.urls import split_url
from domains.pomodoro.model import start_of_day
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort

_NAMES_SECONDS = 60.0
_ID_DIGITS = 24
"""A log may name no document at all."""
_ROUNDING = 0.001
"""Of the seconds in a document."""
_NIGHT_SECONDS = 3 * 3600
_STREAK_STEP = timedelta(days=31)
_LONGEST_STREAK = timedelta(days=3660)


class _Boards(NamedTuple):
    """The keys of the boards that the cards of one day need, by what they are for."""

    current: Mapping[Period, Mapping[str, str]]
    previous: Mapping[Period, str]
    weekday: str
    archived_from: Mapping[str, float]
    """From when on (Unix time) a server has archived the boards; late messages bring only their own seconds back."""

    @property
    def all(self) -> list[str]:
        current = [board for boards in self.current.values() for board in boards.values()]
        return list(dict.fromkeys([*current, *self.previous.values(), self.weekday]))


class FocusCards:
    """Makes the cards of many users at once, in a number of round trips that does not depend on them."""

    def __init__(
        self,
        boards: BoardScoresPort,
        usage_logs: PomodoroUsageLogRepositoryPort,
        categorized: CategorizedDataRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        store: FocusCardStorePort,
        calendar: BoardCalendar,
        prefix: str,
        goal_minutes: int,
        archives: bool = False,
    ) -> None:
        """`archives`: a server archives and deletes the boards of ended periods."""
        self._boards = boards
        self._usage_logs = usage_logs
        self._categorized = categorized
        self._patterns = patterns
        self._store = store
        self._calendar = calendar
        self._prefix = prefix
        self._goal_minutes = goal_minutes
        self._archives = archives
        self._names: Categories = {}
        self._names_until = 0.0

    def today(self) -> date:
        return self._calendar.day(time())

    def anchors(self) -> list[date]:
        """The days whose periods get cards now: today, and by night the day before, whose last hours no run had."""
        return list(dict.fromkeys([self._calendar.day(time() - _NIGHT_SECONDS), self.today()]))

    async def boards_of(self, anchors: Iterable[date]) -> list[str]:
        """The boards on which everybody is who gets a card of these days: those of their months.

        Those of their weeks as well, where a week reaches into another month.
        """
        names, wanted = {*(await self._category_names()).values(), OVERALL_BOARD}, list[tuple[Period, date]]()
        for day in anchors:
            wanted.append((Period.MONTH, day))
            if {each.month for each in Period.WEEK.days(day)} != {day.month}:
                wanted.append((Period.WEEK, day))
        return list(dict.fromkeys(self._key(name, period, day) for period, day in wanted for name in sorted(names)))

    async def refresh(self, users: Sequence[str], anchor: date) -> RunFigures:
        """Writes those cards of `users`, of the periods that hold `anchor`, that are not right any more."""
        starts = {period: period.days(anchor)[0] for period in Period}
        boards = await self._boards_at(anchor)
        read = [each async for each in self._in_turns(users, boards)]
        keys = {user: [CardKey(user, *each) for each in starts.items()] for user in users}
        states = await self._store.states([key for theirs in keys.values() for key in theirs])
        cards, places, unchanged = list[StoredCard](), list[CardPlace](), 0
        for scores in read:
            some = scores.users
            as_of = self._local(scores.as_of / 1e6).isoformat(timespec="milliseconds")
            new = set[CardKey]()
            for user, signature in self._signatures(some, boards, scores).items():
                for key in keys[user]:
                    state = states.get(key)
                    if state is None and not self._is_on(key, boards, scores):
                        continue  # nothing to show, and nothing was shown
                    if state is None or state.signature != signature:
                        new.add(key)
                    elif (place := self._place(key, boards, scores, state)) != (state.rank, state.users):
                        places.append(CardPlace(key, scores.as_of, *place, as_of))
                    else:
                        unchanged += 1
            if new:
                wanted = {key: states.get(key) for key in new}
                cards += await self._made(
                    list(dict.fromkeys(key.user for key in new)), anchor, boards, scores, wanted
                )
        if places:
            await self._store.put_places(places)
        if cards:
            await self._store.put(cards)
        return RunFigures(len(users), len(cards) + len(places), unchanged)

    async def card(self, user: str, period: Period, day: date) -> StoredCard:
        """The stored card; one that is made now if there is none.

        Of a period that has ended, no run makes cards any more: where the boards say otherwise now, it is made anew.
        """
        key, last = CardKey(user, period, period.days(day)[0]), period.days(day)[1]
        stored = (await self._store.get([key])).get(key)
        if stored is None:
            return await self.made_now(user, period, day)
        if last >= self.today():
            return stored
        boards = await self._boards_at(last)
        try:
            scores = await self._scores([user], boards)
        except RedisOutage:
            return stored
        if self._says_the_same(stored, boards, scores):
            return stored
        state = CardState(stored.revision, stored.signature, stored.document["rank"], stored.document["users"])
        (card,) = await self._made([user], last, boards, scores, {key: state})
        await self._store.put([card])
        return card

    async def made_now(self, user: str, period: Period, day: date) -> StoredCard:
        """The card as it is at this moment. It is not stored."""
        boards = await self._boards_at(day)
        scores = await self._scores([user], boards)
        key = CardKey(user, period, period.days(day)[0])
        (card,) = await self._made([user], day, boards, scores, {key: None})
        return card

    async def _boards_at(self, anchor: date) -> _Boards:
        names = await self._category_names()
        every = sorted({*names.values(), OVERALL_BOARD})
        archived_from = dict[str, float]()

        def key(name: str, period: Period, day: date) -> str:
            board = self._key(name, period, day)
            if self._archives:
                archived_from[board] = self._calendar.archived_from(period, day)
            return board

        return _Boards(
            {period: {name: key(name, period, anchor) for name in every} for period in Period},
            {period: key(OVERALL_BOARD, period, _day_before(period, anchor)) for period in Period},
            key(OVERALL_BOARD, Period.DAY, anchor - timedelta(days=7)),
            archived_from,
        )

    async def _in_turns(self, users: Sequence[str], boards: _Boards) -> AsyncIterator[Scores]:
        """The scores of all users, of some at a time."""
        while users:
            scores = await self._scores(users, boards)
            yield scores
            users = users[len(scores.users) :]

    async def _scores(self, users: Sequence[str], boards: _Boards) -> Scores:
        ranked = [of_period[OVERALL_BOARD] for of_period in boards.current.values()]
        scores = await self._boards.read(users, boards.all, ranked)
        archived = [board for board, begins in boards.archived_from.items() if begins <= scores.as_of / 1e6]
        return replace(scores, sizes={**scores.sizes, **dict.fromkeys(archived, 0)})

    async def _made(
        self,
        users: Sequence[str],
        anchor: date,
        boards: _Boards,
        scores: Scores,
        wanted: Mapping[CardKey, CardState | None],
    ) -> list[StoredCard]:
        """The `wanted` cards of these users, made anew. They come with the states of those that are stored."""
        names = await self._category_names()
        firsts = [anchor - timedelta(days=7), *(period.days(anchor)[0] for period in Period)]
        for period, board in boards.previous.items():
            if self._is_gone(board, scores):  # then the logs have to say what was on it
                firsts.append(period.days(_day_before(period, anchor))[0])
        first, last = min(firsts), max(period.days(anchor)[1] for period in Period)
        spans = await self._spans(users, first, last, names)
        of_cards = [period.days(anchor) for period in Period]
        begin, end = min(days[0] for days in of_cards), max(days[1] for days in of_cards)
        windows = await self._windows(
            span.data_id for theirs in spans.values() for span in theirs if begin <= span.day <= end
        )
        days = {user: summary.focus_by_day(theirs, self._calendar.work_categories) for user, theirs in spans.items()}
        await self._look_further_back(users, days, first, anchor, names)
        cards = []
        signatures = self._signatures(users, boards, scores)
        for user in users:
            for period in Period:
                key = CardKey(user, period, period.days(anchor)[0])
                if key in wanted:
                    place = self._place(key, boards, scores, wanted[key])
                    theirs = spans.get(user, []), days.get(user, {}), windows
                    card = self._card(key, anchor, boards, scores, place, *theirs)
                    document = document_of(card, self._local)
                    cards.append(StoredCard(key, scores.as_of, signatures[user], document))
            await asyncio.sleep(0)  # others on this loop have their turn
        return cards

    def _card(
        self,
        key: CardKey,
        anchor: date,
        boards: _Boards,
        scores: Scores,
        place: tuple[int, int],
        spans: Sequence[Span],
        days: Mapping[date, float],
        windows: Mapping[str, tuple[str, str]],
    ) -> FocusCard:
        period, (first, last) = key.period, key.period.days(anchor)
        work, today = self._calendar.work_categories, self.today()
        within = [span for span in spans if first <= span.day <= last]
        categories, focus = self._sums(key, boards, scores, within)
        rank, users = place
        named = [(names, span.seconds) for span in within if (names := windows.get(span.data_id))]
        kept = summary.ordered(categories, NOTHING_SECONDS)
        shown = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        weekday = self._before(key.user, boards.weekday, scores, days, anchor - timedelta(days=7), Period.DAY)
        return FocusCard(
            user=key.user,
            period=period,
            starts=first,
            ends=last,
            as_of=scores.as_of / 1e6,
            focus_seconds=focus,
            categories=kept,
            rank=rank,
            users=users,
            previous_seconds=self._before(
                key.user, boards.previous[period], scores, days, _day_before(period, anchor), period
            ),
            same_weekday_seconds=weekday if period is Period.DAY else None,
            streak_days=summary.streak(days, max(first, min(last, today)), self._goal_minutes * 60, today),
            goal_minutes=self._goal_minutes,
            longest_focus_seconds=summary.longest_focus(within, work),
            interruptions=summary.interruptions(within, work),
            sessions=summary.session_count(within),
            uncategorised_seconds=categories.get(UNCATEGORIZED, 0.0),
            work=[name for name in kept if name in work],
            days={} if period is Period.DAY else {day.isoformat(): days.get(day, 0.0) for day in shown},
            apps=summary.top((app, seconds) for (app, _), seconds in named),
            sites=summary.top((site, seconds) for (_, site), seconds in named),
            timeline=summary.timeline(within) if period is Period.DAY else (),
        )

    def _sums(
        self, key: CardKey, boards: _Boards, scores: Scores, within: Sequence[Span]
    ) -> tuple[dict[str, float], float]:
        """Seconds by category, and the focus: those of the boards, or of the logs where the boards are gone."""
        current = boards.current[key.period]
        if all(self._is_gone(board, scores) for board in current.values()):
            by_category = summary.by_category(within)
            work = self._calendar.work_categories
            return by_category, sum(seconds for name, seconds in by_category.items() if name in work)
        found = {name: scores.seconds.get(board, {}).get(key.user, 0.0) for name, board in current.items()}
        focus = found.pop(OVERALL_BOARD)
        return found, focus if focus >= NOTHING_SECONDS else 0.0

    def _before(
        self, user: str, board: str, scores: Scores, days: Mapping[date, float], day: date, period: Period
    ) -> float:
        """The focus in an earlier period."""
        if not self._is_gone(board, scores):
            return scores.seconds.get(board, {}).get(user, 0.0)
        first, last = period.days(day)
        return sum(seconds for each, seconds in days.items() if first <= each <= last)

    async def _look_further_back(
        self, users: Sequence[str], days: dict[str, dict[date, float]], first: date, anchor: date, names: Categories
    ) -> None:
        """Adds earlier days of those whose streak may have begun before `first`."""
        goal, today, oldest = self._goal_minutes * 60, self.today(), first - _LONGEST_STREAK
        last_days = {max(period.days(anchor)[0], min(period.days(anchor)[1], today)) for period in Period}
        while first > oldest:
            open_ = [
                user
                for user in users
                if user in days
                and any(summary.streak(days[user], last, goal, today) >= (last - first).days for last in last_days)
            ]
            if not open_:
                return
            earlier, first = first, first - _STREAK_STEP
            spans = await self._spans(open_, first, earlier - timedelta(days=1), names)
            for user in open_:
                found = summary.focus_by_day(spans.get(user, []), self._calendar.work_categories)
                days[user] = {**days[user], **found}

    async def _spans(self, users: Sequence[str], first: date, last: date, names: Categories) -> dict[str, list[Span]]:
        start = start_of_day(first, self._calendar.zone).timestamp()
        end = start_of_day(last + timedelta(days=1), self._calendar.zone).timestamp()
        logs = await self._usage_logs.find_of_users(users, start, end)
        return summary.by_user(
            Span(
                log.user_id,
                self._calendar.day(log.timestamp),
                names.get(log.category_id, UNCATEGORIZED),
                log.timestamp,
                log.duration,
                (log.session_date, log.session),
                log.categorized_data_id,
            )
            for log in logs
            if log.category_id is not None  # not committed yet: on no board
        )

    async def _windows(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """{id: app and host} of windows."""
        found = await self._categorized.find_by_ids({each for each in ids if len(each) == _ID_DIGITS})
        return {data_id: (data.window.app, split_url(data.window.url)[0]) for data_id, data in found.items()}

    async def _category_names(self) -> Categories:
        """Also of the categories that are on no pattern of the store: boards may have them."""
        if monotonic() >= self._names_until:
            found = {pattern.id: pattern.category for pattern in await self._patterns.find_all()}
            others = (PATTERN_CATEGORIES | LLM_ONLY_CATEGORIES) - set(found.values())
            self._names = {**found, **{name: name for name in others}}
            self._names_until = monotonic() + _NAMES_SECONDS
        return self._names

    def _says_the_same(self, stored: StoredCard, boards: _Boards, scores: Scores) -> bool:
        """Whether the boards, as far as they have this user, have the totals of the card.

        What came back of archived boards has not: then the card is right if it was made since.
        """
        key, document = stored.key, stored.document
        if not self._is_on(key, boards, scores):
            return True
        current = boards.current[key.period]
        said = {name: scores.seconds.get(board, {}).get(key.user, 0.0) for name, board in current.items()}
        shown = {**document["categories"], OVERALL_BOARD: document["focus_seconds"]}
        if all(abs(said.get(name, 0.0) - shown.get(name, 0.0)) < _ROUNDING for name in {*said, *shown}):
            return True
        is_gone = self._is_gone(current[OVERALL_BOARD], scores)
        return is_gone and stored.signature == self._signatures([key.user], boards, scores)[key.user]

    def _signatures(self, users: Sequence[str], boards: _Boards, scores: Scores) -> dict[str, str]:
        """Of each user: equal as long as all boards say the same of them, on the same day, with the same settings."""
        asked = sorted(boards.all)
        said: dict[str, list[float]] = {user: [] for user in users}
        for n, board in enumerate(asked):
            for user, seconds in scores.seconds.get(board, {}).items():
                if seconds and user in said:
                    said[user] += n, seconds
        calendar = self._calendar
        settings = self._goal_minutes, calendar.zone.key, sorted(calendar.work_categories)
        gone = [self._gone(period, boards, scores) for period in Period]
        head = f"{self.today().toordinal()} {settings} {asked} {gone} "
        begun = blake2b(head.encode("utf-8", "surrogatepass"), digest_size=12)
        signatures = {}
        for user, figures in said.items():
            digest = begun.copy()
            digest.update(pack(f"<{len(figures)}d", *figures))
            signatures[user] = digest.hexdigest()
        return signatures

    def _gone(self, period: Period, boards: _Boards, scores: Scores) -> list[bool]:
        """Which figures of the cards of a period are those of the logs: totals, the period before, the weekday."""
        return [
            all(self._is_gone(board, scores) for board in boards.current[period].values()),
            self._is_gone(boards.previous[period], scores),
            period is Period.DAY and self._is_gone(boards.weekday, scores),
        ]

    def _place(self, key: CardKey, boards: _Boards, scores: Scores, stored: CardState | None) -> tuple[int, int]:
        """Rank and users; the stored ones where the board is gone."""
        board = boards.current[key.period][OVERALL_BOARD]
        if self._is_gone(board, scores):
            return (stored.rank, stored.users) if stored else (0, 0)
        return scores.ranks.get(board, {}).get(key.user, 0), scores.sizes.get(board, 0)

    def _is_on(self, key: CardKey, boards: _Boards, scores: Scores) -> bool:
        return any(key.user in scores.seconds.get(board, {}) for board in boards.current[key.period].values())

    def _is_gone(self, board: str, scores: Scores) -> bool:
        return scores.sizes.get(board) == 0

    def _key(self, name: str, period: Period, day: date) -> str:
        return self._prefix + board_key(name, period, day)

    def _local(self, timestamp: float) -> datetime:
        return datetime.fromtimestamp(timestamp, UTC).astimezone(self._calendar.zone)


def _day_before(period: Period, day: date) -> date:
    """A day of the period before."""
    return period.days(day)[0] - timedelta(days=1)
