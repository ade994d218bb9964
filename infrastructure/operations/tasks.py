"""The functions of the tasks, each under its name in the registry."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

from domains.focusCard.runs import CardRuns
from domains.kernel.errors import TaskRefused
from domains.leaderboard.model import Period
from domains.leaderboard.service import BoardCalendar
from domains.operations.model import Selection
from domains.operations.ports import DeadLettersPort, TaskQueuePort
from domains.operations.service import replay_letters
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.correcting import Corrections
from domains.pomodoro.model import RepairedDocuments
from domains.pomodoro.period_reclassification import Changed, PeriodReclassification, days_between
from domains.pomodoro.ports import FieldNamesPort
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt
from domains.pomodoro.reclassification import Reclassification
from domains.siteProfile.crawl import Crawled, SiteCrawl
from domains.siteProfile.model import UNFINISHED, as_json
from infrastructure.operations.corrections import applied_document, apply_corrections
from infrastructure.operations.task_registry import (
    TASKS,
    CardParams,
    Params,
    PeriodParams,
    PostParams,
    RebuildParams,
    ReplayParams,
    RetentionParams,
    SiteParams,
)

if TYPE_CHECKING:  # aiohttp is only for what serves or posts, retention for once a day
    from infrastructure.cards.webhooks import CardWebhooks
    from infrastructure.operations.retention import Retention

Data = Mapping[str, object]
"""Publishes the progress of a task: JSON values by name."""
Progress = Callable[[Data], Awaitable[None]]
_MOST_MOVES = 100
_LOOK_SECONDS = 0.5
_STALLED_SECONDS = 60.0
_PROFILE_SECONDS = 120.0
"""How long a task waits for a visit. After that the site stays queued."""


class Task(NamedTuple):
    """`run` gets an object of `params`, and returns the data that are published at the end.

    It raises PipelineError, or ValueError if a parameter is wrong.
    """

    params: type[Params]
    run: Callable[[Any, Progress], Awaitable[Data]]


class Tasks:
    """`reclassifications` are those of all partitions.

    `retention` is made where it is asked for. `field_names` is None if the store has never known other names,
    `sites` if there are no site profiles.
    """

    def __init__(
        self,
        queue: TaskQueuePort,
        classifier: PatternClassifier,
        dead_letters: DeadLettersPort,
        reclassifications: Sequence[Reclassification],
        leaderboards: LeaderboardRebuild,
        period_reclassification: PeriodReclassification,
        corrections: Corrections,
        retention: Callable[[], "Retention"],
        field_names: FieldNamesPort | None,
        calendar: BoardCalendar,
        card_runs: CardRuns,
        sites: SiteCrawl | None = None,
        webhooks: "CardWebhooks | None" = None,
    ) -> None:
        self._queue = queue
        self._classifier = classifier
        self._dead_letters = dead_letters
        self._reclassifications = reclassifications
        self._leaderboards = leaderboards
        self._period_reclassification = period_reclassification
        self._corrections = corrections
        self._retention = retention
        self._field_names = field_names
        self._calendar = calendar
        self._card_runs = card_runs
        self._sites = sites
        self._webhooks = webhooks
        self.by_name = {name: Task(entry.params, getattr(self, name)) for name, entry in TASKS.items()}

    async def ping(self, params: Params, progress: Progress) -> Data:
        return {}

    async def reload_patterns(self, params: Params, progress: Progress) -> Data:
        await self._classifier.load()
        await self._queue.patterns_changed()
        return {"patterns": self._classifier.snapshot.rules.size}

    async def replay_dead_letters(self, params: ReplayParams, progress: Progress) -> Data:
        selection = Selection(params.ids, params.reason, params.older_than)
        replayed, left = await replay_letters(self._dead_letters, selection)
        return {"replayed": len(replayed), "truncated": len(left)}

    async def reclassify(self, params: Params, progress: Progress) -> Data:
        if not self._classifier.can_ask:
            raise TaskRefused("there is no LLM that may be asked now")
        moved = 0
        for reclassification in self._reclassifications:
            moved += await reclassification.reclassify_all(asyncio.Event(), at_once=True)
            await progress({"moved": moved})
        return {"moved": moved}

    async def repair_field_names(self, params: Params, progress: Progress) -> Data:
        done = RepairedDocuments()
        if self._field_names is not None:
            async for done in self._field_names.repair():
                await progress(done._asdict())
        return done._asdict()

    async def reclassify_period(self, params: PeriodParams, progress: Progress) -> Data:
        async def changed(state: Changed) -> None:
            await progress({"logs": state.logs, "changed": state.changed})

        async def rebuilt(state: Rebuilt) -> None:
            await progress({"rebuilt": state.logs})

        first, last = params.first, params.last or params.first
        if not first <= last <= self._calendar.day(time()):
            raise TaskRefused("the days must lie in the past, the first before the last")
        if not params.dry_run:
            self._leaderboards.ensure_possible()  # before documents change that the boards could not follow
        await self.reload_patterns(params, progress)
        done = await self._period_reclassification.decide(first, last, params.dry_run, changed)
        largest = sorted(done.moved.items(), key=lambda moved: -moved[1])[:_MOST_MOVES]
        moves = [{"from": before, "to": now, "seconds": round(seconds, 3)} for (before, now), seconds in largest]
        data = {**done._asdict(), "moved": moves}
        if params.dry_run:
            return data
        left = list[str]()

        def wanted(period: Period, start: date) -> bool:
            if params.force or self._calendar.archived_from(period, start) > time():
                return True
            left.append(f"{period.value} of {start}")
            return False

        boards = await self._period_reclassification.rebuild(days_between(first, last), wanted, rebuilt)
        return {**data, "boards": boards, "archived": left}

    async def apply_corrections(self, params: Params, progress: Progress) -> Data:
        return applied_document(await apply_corrections(self._queue, self._corrections))

    async def apply_retention(self, params: RetentionParams, progress: Progress) -> Data:
        return {**(await self._retention().apply(params.dry_run))._asdict(), "dry_run": params.dry_run}

    async def refresh_cards(self, params: CardParams, progress: Progress) -> Data:
        run = await self._card_runs.start(params.day, resume=True)  # it may be that of an instance that has died
        last, moved = dict[str, object](), monotonic()
        while True:
            ended, told = await self._card_runs.progress(run)
            if ended:
                return told
            await progress(told)
            if told != last:
                last, moved = told, monotonic()
            elif monotonic() - moved > _STALLED_SECONDS:
                raise TaskRefused("no worker is at work on the focus cards; the run goes on as soon as one is")
            await asyncio.sleep(_LOOK_SECONDS)

    async def crawl_sites(self, params: Params, progress: Progress) -> Data:
        async def told(state: Crawled) -> None:
            await progress(state._asdict())

        return (await self._site_crawl().run(told))._asdict()

    async def profile_site(self, params: SiteParams, progress: Progress) -> Data:
        sites = self._site_crawl()
        site = await sites.request(params.host)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROFILE_SECONDS):
                while (profile := await sites.find(site)) is None or profile.state in UNFINISHED:
                    await progress({"site": site, "state": profile.state if profile else "queued"})
                    await asyncio.sleep(_LOOK_SECONDS)
        return {"site": site, "state": "queued"} if profile is None else as_json(profile)

    def _site_crawl(self) -> SiteCrawl:
        if self._sites is None:
            raise TaskRefused("site profiles are off (SITE_PROFILES)")
        return self._sites

    async def post_cards(self, params: PostParams, progress: Progress) -> Data:
        if self._webhooks is None:
            return {"posted": 0, "why": "CARD_WEBHOOKS is not set"}
        day = params.day or self._calendar.day(time()) - timedelta(days=7)
        return await self._webhooks.post_week(Period.WEEK.days(day)[0])

    async def rebuild_leaderboard(self, params: RebuildParams, progress: Progress) -> Data:
        async def told(state: Rebuilt) -> None:
            await progress({"logs": state.logs})

        periods = list(Period) if params.period is None else [params.period]
        day = params.day or self._calendar.day(time())
        archived = [period for period in periods if self._calendar.archived_from(period, day) <= time()]
        if archived and not params.force:
            raise TaskRefused(
                f"the server has archived the boards of the {archived[0]} of {day}, and would archive new ones once "
                "more; force=true rebuilds them all the same"
            )
        done = await self._leaderboards.rebuild(periods, day, told)
        return {"date": day.isoformat(), "periods": [period.value for period in periods], **done._asdict()}
