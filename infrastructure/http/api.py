"""The operations of the API. Those that change something have `access="token"` and are logged."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from time import time

from aiohttp import web

from domains.activityEvent.data_quality import DataQuality
from domains.categoryPattern import decisions
from domains.categoryPattern.model import (
    LLM_ONLY_CATEGORIES,
    PATTERN_CATEGORIES,
    PatternProposal,
)
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.focusCard.runs import CardRuns
from domains.focusCard.service import FocusCards
from domains.kernel.window import Window
from domains.leaderboard.model import OVERALL_BOARD, LeaderboardResult, Period, board_key
from domains.leaderboard.ports import LeaderboardCachePort
from domains.operations.ports import (
    AuditPort,
    CountersPort,
    DeadLettersPort,
    InstanceSnapshotsPort,
    TaskQueuePort,
)
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.explain import explain
from domains.patternClassifier.model import Tier
from domains.pomodoro.board_windows import BoardWindows
from domains.pomodoro.correcting import Corrections
from domains.pomodoro.pattern_preview import PatternPreview
from domains.siteProfile.crawl import SiteCrawl
from domains.siteProfile.ports import SiteProfileRepositoryPort
from infrastructure.collector.tokens import tokens_of
from infrastructure.http import schemas
from infrastructure.http.analytics import AnalyticsApi
from infrastructure.http.cards import CardApi
from infrastructure.http.corrections import CorrectionApi
from infrastructure.http.dead_letters import DeadLetterApi
from infrastructure.http.endpoint import Endpoint
from infrastructure.http.explanations import answer_document, trace_document
from infrastructure.http.guard import Guard
from infrastructure.http.history import DeploymentHistory
from infrastructure.http.instances import OtherInstances
from infrastructure.http.labels import labels
from infrastructure.http.live import Live
from infrastructure.http.peers import Peers
from infrastructure.http.sites import SiteApi
from infrastructure.http.system import SystemApi
from infrastructure.operations.health import PipelineHealth
from infrastructure.settings import Settings, admin_tokens, names_of
from infrastructure.spring.message_parser import MessageParser

_MOST_PROPOSALS = 1000
_DAY_SECONDS = 86_400


class Api:
    """The handlers of one process. `operations` has their paths."""

    def __init__(
        self,
        settings: Settings,
        state: PipelineHealth,
        boards: LeaderboardCachePort,
        dead_letters: DeadLettersPort,
        parser: MessageParser,
        streams: Sequence[str],
        proposals: PatternProposalRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        classifier: PatternClassifier,
        audit: AuditPort,
        cards: FocusCards,
        quality: DataQuality,
        card_runs: CardRuns,
        counters: CountersPort,
        snapshots: InstanceSnapshotsPort,
        windows: BoardWindows,
        corrections: Corrections,
        tasks: TaskQueuePort,
        preview: PatternPreview,
        profiles: SiteProfileRepositoryPort | None = None,
        site_crawl: Callable[[], SiteCrawl] | None = None,
    ) -> None:
        self.live = Live(state)
        self.peers = Peers(settings)
        self._guard = Guard(admin_tokens(settings), tokens_of(settings), self.peers.address_of, audit)
        self.dead_letters = DeadLetterApi(dead_letters, parser, streams, self._guard)
        self.cards = CardApi(settings, cards, card_runs, self._guard, self._today)
        self.corrections = CorrectionApi(
            windows, boards, corrections, tasks, self._guard, self.cards.require, self._board_of, self._category_names
        )
        self._others = OtherInstances(settings.consumer_name, snapshots)
        self.system = SystemApi(settings, state, tasks, audit, self._guard, self._others)
        self.analytics = AnalyticsApi(settings, quality)
        self.sites = SiteApi(profiles, site_crawl, self._guard) if profiles is not None else None
        self._history = DeploymentHistory(counters)
        self._settings = settings
        self._work_categories = frozenset(names_of(settings.work_categories))
        self._boards = boards
        self._proposals = proposals
        self._patterns = patterns
        self._classifier = classifier
        self._preview = preview

    # How it is

    async def state(self, request: web.Request, query: schemas.InstanceQuery) -> schemas.State:
        other = await self._others.snapshot(query.instance)
        state = await self.live.document()
        if other is not None:
            told = {"instance": query.instance, "taken": other.time}
            told |= {name: getattr(other, name) for name in ("llm", "checks", "breakers", "outages", "metrics")}
            state = state.model_copy(update=told)
        return state

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await self.live.listen(request)

    async def history(self, request: web.Request, query: schemas.HistoryQuery) -> schemas.History:
        return await self._history.over(query.span)

    async def labels(self, request: web.Request, query: schemas.LabelQuery) -> schemas.Labels:
        return labels(query.lang, str(self._settings.zone))

    async def access(self, request: web.Request) -> schemas.Access:
        return schemas.Access(
            changes="open" if self._guard.admits(request) else "locked" if self._guard.has_token else "off",
            user=self._guard.user_of(request),
            users_have_tokens=self._guard.users_have_tokens,
        )

    # Boards

    async def categories(self, request: web.Request) -> schemas.Categories:
        names = sorted(self._category_names(), key=str.casefold)
        found = [schemas.Category(name=name, work=name in self._work_categories) for name in names]
        return schemas.Categories(overall=OVERALL_BOARD, today=self._today(), categories=found)

    async def board(self, request: web.Request, query: schemas.BoardQuery) -> schemas.BoardPage:
        key, day = self._board_of(query)
        rows = await self._boards.top(key, query.size, query.page * query.size)
        return schemas.BoardPage(
            **_place(query, day),
            page=query.page,
            size=query.size,
            total=await self._boards.size(key),
            content=[_row(row) for row in rows],
        )

    async def user_on_board(self, request: web.Request, query: schemas.UserQuery) -> schemas.UserOnBoard:
        key, day = self._board_of(query)
        found = await self._boards.around(key, query.user_id, query.distance)
        return schemas.UserOnBoard(
            **_place(query, day),
            distance=query.distance,
            total=await self._boards.size(key),
            user=_row(found.user),
            content=[_row(row) for row in found.around],
        )

    def _board_of(self, query: schemas.BoardPlace) -> tuple[str, date]:
        if query.category != OVERALL_BOARD and query.category not in self._category_names():
            raise web.HTTPNotFound(text="there is no such category; /api/categories has them all")
        day = query.date or self._today()
        return self._settings.key_prefix + board_key(query.category, Period(query.period), day), day

    def _category_names(self) -> frozenset[str]:
        return PATTERN_CATEGORIES | LLM_ONLY_CATEGORIES | self._classifier.snapshot.categories

    def _today(self) -> date:
        return datetime.now(UTC).astimezone(self._settings.zone).date()

    # Windows

    async def classify(self, request: web.Request, window: schemas.WindowBody) -> schemas.Explained:
        """Classifies as the pipeline would, but never asks the LLM."""
        classifier = self._classifier
        if not classifier.snapshot.patterns:
            raise web.HTTPServiceUnavailable(text="no patterns are loaded yet")
        key = Window(window.app, window.url, window.title)
        found = classifier.corrected("", key) or classifier.at_once(key) or (await classifier.further({key})).get(key)
        snapshot = classifier.snapshot
        matches = snapshot.rules.candidates(*key)
        said = found or snapshot.fallback(key)
        rule = snapshot.provisionally(key)
        if rule is not None and said.tier not in (rule.tier, Tier.PROVISIONAL):
            rule = None  # a later tier knows better
        others = matches[1:] if rule else matches
        return schemas.Explained(
            **answer_document(rule or said),
            llm_would_be_asked=found is None and classifier.would_ask(key),
            also=[schemas.Answer(**answer_document(other)) for other in others],
            why=schemas.Why(**trace_document(explain(snapshot.rules, key))),
        )

    # Patterns and proposals

    async def patterns(self, request: web.Request) -> schemas.Patterns:
        found = sorted(self._classifier.snapshot.patterns, key=lambda each: each.category.casefold())
        return schemas.Patterns(content=[schemas.PatternDocument.model_validate(each) for each in found])

    async def proposals(self, request: web.Request) -> schemas.Proposals:
        kept = await decisions.find_in_order(self._proposals)
        return schemas.Proposals(content=[_proposal(each) for each in kept[:_MOST_PROPOSALS]])

    async def preview_proposal(self, request: web.Request, query: schemas.PreviewQuery) -> schemas.Preview:
        (proposal,) = await self._chosen(query)
        end = time()
        found = await self._preview.of(proposal, end - query.days * _DAY_SECONDS, end)
        return schemas.Preview.model_validate({"days": query.days, **found._asdict()})

    async def accept_proposal(
        self, request: web.Request, which: schemas.ProposalId, _: schemas.Nothing
    ) -> schemas.Proposal:
        chosen = await self._chosen(which)
        (accepted,) = await decisions.accept(chosen, self._proposals, self._patterns)
        await self._guard.changed(request, "accepted a proposal", which.id)
        return _proposal(accepted)

    async def reject_proposal(
        self, request: web.Request, which: schemas.ProposalId, _: schemas.Nothing
    ) -> schemas.Proposal:
        chosen = await self._chosen(which)
        try:
            (rejected,) = await decisions.reject(chosen, self._proposals)
        except decisions.AlreadyAccepted as refusal:
            raise web.HTTPConflict(text=str(refusal)) from None
        await self._guard.changed(request, "rejected a proposal", which.id)
        return _proposal(rejected)

    async def _chosen(self, which: schemas.ProposalId | schemas.PreviewQuery) -> list[PatternProposal]:
        try:
            return await decisions.find([which.id], self._proposals)
        except decisions.NoSuchProposal:
            raise web.HTTPNotFound(text="there is no such proposal") from None

    def admit(self, request: web.Request, operation: Endpoint) -> None:
        """Raises the error with which a request is refused, before its content is read."""
        if operation.access == "token":
            self._guard.require(request)

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/state", self.state, "How the pipeline is, and one of its instances", schemas.State,
                schemas.InstanceQuery, problems=(404,),
            ),
            Endpoint(
                "GET", "/api/events", self.events,
                "The same each second: server-sent events `state`, and `end` at a stop",
                schemas.State, streams=True,
            ),
            Endpoint(
                "GET", "/api/history", self.history, "What all instances did over time", schemas.History,
                schemas.HistoryQuery,
            ),
            Endpoint(
                "GET", "/api/labels", self.labels, "What tiers and lanes are called, and the boards' time zone",
                schemas.Labels, schemas.LabelQuery,
            ),
            Endpoint(
                "GET", "/api/access", self.access, "Whether changes are possible, and whose the given token is",
                schemas.Access, access="more",
            ),
            Endpoint(
                "GET", "/api/categories", self.categories, "All categories, and the current date", schemas.Categories
            ),
            Endpoint(
                "GET", "/api/boards/{category}", self.board, "A page of a board, best first",
                schemas.BoardPage, schemas.BoardQuery, problems=(404,),
            ),
            Endpoint(
                "GET", "/api/boards/{category}/users/{userId}", self.user_on_board,
                "A user's place on a board, and those around",
                schemas.UserOnBoard, schemas.UserQuery, problems=(404,),
            ),
            Endpoint(
                "POST", "/api/classify", self.classify,
                "The category of a window and why, by all tiers but the LLM",
                schemas.Explained, body=schemas.WindowBody,
            ),
            Endpoint(
                "GET", "/api/patterns", self.patterns, "The patterns in use, by category", schemas.Patterns
            ),
            Endpoint(
                "GET", "/api/proposals", self.proposals, "Patterns that the LLM's answers suggest", schemas.Proposals
            ),
            Endpoint(
                "GET", "/api/proposals/{id}/preview", self.preview_proposal,
                "What the pattern would move of the last days' logs, by the category that they have now",
                schemas.Preview, schemas.PreviewQuery, access="token", problems=(404,),
            ),
            Endpoint(
                "POST", "/api/proposals/{id}/accept", self.accept_proposal, "Adds a proposed pattern to its category",
                schemas.Proposal, schemas.ProposalId, schemas.Nothing, access="token", problems=(404,),
            ),
            Endpoint(
                "POST", "/api/proposals/{id}/reject", self.reject_proposal,
                "Keeps a pattern from being proposed again", schemas.Proposal, schemas.ProposalId, schemas.Nothing,
                access="token", problems=(404, 409),
            ),
            *self.dead_letters.endpoints,
            *self.corrections.endpoints,
            *self.system.endpoints,
            *self.cards.endpoints,
            *self.analytics.endpoints,
            *(self.sites.endpoints if self.sites is not None else ()),
        ]  # fmt: skip


def _place(query: schemas.BoardPlace, day: date) -> dict[str, object]:
    return {"category": query.category, "period": query.period, "date": day}


def _row(row: LeaderboardResult) -> schemas.Row:
    return schemas.Row(rank=row.rank, user_id=row.user_id, score=row.score)


def _proposal(proposal: PatternProposal) -> schemas.Proposal:
    evidence = proposal.evidence
    return schemas.Proposal(
        id=proposal.id,
        status=proposal.status.value,
        kind=proposal.kind.value,
        pattern=proposal.pattern,
        category=proposal.category,
        answers=evidence.answers,
        windows=evidence.windows,
        share=evidence.share,
        others=dict(evidence.others),
        site=evidence.site,
        corrections=evidence.corrections,
    )
