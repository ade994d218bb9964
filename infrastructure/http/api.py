"""The operations of the API. Those that change something have `access="token"` and are logged."""

from datetime import UTC, date, datetime

from aiohttp import web

from domains.categoryPattern import decisions
from domains.categoryPattern.model import (
    LLM_ONLY_CATEGORIES,
    PATTERN_CATEGORIES,
    PatternProposal,
)
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.kernel.window import Window
from domains.leaderboard.model import OVERALL_BOARD, LeaderboardResult, Period, board_key
from domains.leaderboard.ports import LeaderboardCachePort
from domains.operations.model import LetterSummary, StoredDeadLetter
from domains.operations.ports import AuditPort, DeadLettersPort
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.explain import explain
from domains.patternClassifier.model import OF_RULES
from infrastructure.http import schemas
from infrastructure.http.endpoint import ANSWER_BYTES, Endpoint
from infrastructure.http.explanations import answer_document, trace_document
from infrastructure.http.guard import Guard
from infrastructure.http.labels import labels
from infrastructure.http.live import Live
from infrastructure.http.peers import Peers
from infrastructure.operations.health import PipelineHealth
from infrastructure.settings import Settings, admin_tokens, names_of

_TEXT_CHARACTERS = 1000
_MOST_PROPOSALS = 1000


class Api:
    """The handlers of one process. `operations` has their paths."""

    def __init__(
        self,
        settings: Settings,
        state: PipelineHealth,
        boards: LeaderboardCachePort,
        dead_letters: DeadLettersPort,
        proposals: PatternProposalRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        classifier: PatternClassifier,
        audit: AuditPort,
    ) -> None:
        self.live = Live(state)
        self.peers = Peers(settings)
        self._guard = Guard(admin_tokens(settings), self.peers.address_of, audit)
        self._settings = settings
        self._work_categories = frozenset(names_of(settings.work_categories))
        self._boards = boards
        self._dead_letters = dead_letters
        self._proposals = proposals
        self._patterns = patterns
        self._classifier = classifier

    # How it is

    async def state(self, request: web.Request) -> schemas.State:
        return await self.live.document()

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await self.live.listen(request)

    async def labels(self, request: web.Request) -> schemas.Labels:
        return labels()

    async def access(self, request: web.Request) -> schemas.Access:
        if not self._guard.has_token:
            return schemas.Access(changes="off")
        return schemas.Access(changes="open" if self._guard.admits(request) else "locked")

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

    # Dead letters

    async def dead_letters(self, request: web.Request, query: schemas.DeadLetterQuery) -> schemas.DeadLetters:
        admitted = self._guard.admits(request)

        def is_wanted(letter: LetterSummary) -> bool:
            return query.reason.casefold() in _reason(letter, admitted).casefold()

        content, left = list[schemas.DeadLetterDocument](), ANSWER_BYTES // 2 if admitted else 0
        for letter in await self._dead_letters.latest(query.limit, is_wanted):
            whole = await self._dead_letters.get(letter.id) if letter.size < left else None
            left -= letter.size if whole else 0
            content.append(_letter(letter, admitted, whole))
        return schemas.DeadLetters(content=content)

    async def replay(self, request: web.Request, which: schemas.DeadLetterId, _: schemas.Nothing) -> schemas.Replayed:
        letter = await self._dead_letters.get(which.id)
        if letter is None:
            raise web.HTTPNotFound(text="there is no such dead letter")
        if letter.truncated:
            raise web.HTTPConflict(text="its fields were cut because of their size: it cannot be put back")
        new_id = await self._dead_letters.replay(letter)
        if new_id is None:
            raise web.HTTPNotFound(text="somebody else was faster: it is no longer there")
        await self._guard.changed(request, "replayed a dead letter", letter.id)
        return schemas.Replayed(id=letter.id, new_id=new_id)

    # Windows

    async def classify(self, request: web.Request, window: schemas.WindowBody) -> schemas.Explained:
        """Classifies as the pipeline would, but never asks the LLM."""
        classifier = self._classifier
        if not classifier.snapshot.patterns:
            raise web.HTTPServiceUnavailable(text="no patterns are loaded yet")
        key = Window(window.app, window.url, window.title)
        found = classifier.at_once(key) or (await classifier.further({key})).get(key)
        snapshot = classifier.snapshot
        matches = snapshot.rules.candidates(*key)
        said = found or snapshot.fallback(key)
        rule = snapshot.provisionally(key) if said.tier in OF_RULES else None
        others = matches[1:] if rule else matches
        return schemas.Explained(
            **answer_document(rule or said),
            llm_would_be_asked=found is None and classifier.would_ask(key),
            also=[schemas.Answer(**answer_document(other)) for other in others],
            why=schemas.Why(**trace_document(explain(snapshot.rules, key))),
        )

    # Proposals

    async def proposals(self, request: web.Request) -> schemas.Proposals:
        kept = await decisions.find_in_order(self._proposals)
        return schemas.Proposals(content=[_proposal(each) for each in kept[:_MOST_PROPOSALS]])

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

    async def _chosen(self, which: schemas.ProposalId) -> list[PatternProposal]:
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
            Endpoint("GET", "/api/state", self.state, "How the pipeline is", schemas.State),
            Endpoint(
                "GET", "/api/events", self.events,
                "The same each second: server-sent events `history` (once), `state`, and `end` at a stop",
                schemas.State, streams=True,
            ),
            Endpoint("GET", "/api/labels", self.labels, "What tiers and lanes are called", schemas.Labels),
            Endpoint(
                "GET", "/api/access", self.access, "Whether changes are possible, and the token given is right",
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
                "GET", "/api/dead-letters", self.dead_letters,
                "The latest messages that could not be processed; with the token, their fields, too",
                schemas.DeadLetters, schemas.DeadLetterQuery, access="more",
            ),
            Endpoint(
                "POST", "/api/dead-letters/{id}/replay", self.replay, "Puts a message back on the stream, once",
                schemas.Replayed, schemas.DeadLetterId, schemas.Nothing, access="token", problems=(404, 409),
            ),
            Endpoint(
                "POST", "/api/classify", self.classify,
                "The category of a window and why, by all tiers but the LLM",
                schemas.Explained, body=schemas.WindowBody,
            ),
            Endpoint(
                "GET", "/api/proposals", self.proposals, "Patterns that the LLM's answers suggest", schemas.Proposals
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
        ]  # fmt: skip


def _place(query: schemas.BoardPlace, day: date) -> dict[str, object]:
    return {"category": query.category, "period": query.period, "date": day}


def _row(row: LeaderboardResult) -> schemas.Row:
    return schemas.Row(rank=row.rank, user_id=row.user_id, score=row.score)


def _reason(letter: LetterSummary, admitted: bool) -> str:
    """A dead letter. Without the token it has no quoted values and no text of a store about a message."""
    return letter.reason if admitted else letter.public_reason


def _letter(letter: LetterSummary, admitted: bool, whole: StoredDeadLetter | None) -> schemas.DeadLetterDocument:
    return schemas.DeadLetterDocument(
        id=letter.id,
        stream=letter.stream,
        kind=letter.kind,
        reason=_reason(letter, admitted)[:_TEXT_CHARACTERS],
        user_id=letter.user_id[:_TEXT_CHARACTERS],
        original_id=letter.original_id,
        deliveries=letter.deliveries,
        time=letter.time,
        truncated=letter.truncated,
        fields=dict(whole.fields) if whole else None,
    )


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
    )
