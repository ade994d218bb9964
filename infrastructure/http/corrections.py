"""What made the hours on a board, and corrections of the categories of windows."""

from collections.abc import Callable, Collection, Iterable
from datetime import date
from math import fsum

from aiohttp import web

from domains.kernel.errors import TaskRefused
from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.leaderboard.ports import LeaderboardCachePort
from domains.operations.ports import TaskQueuePort
from domains.patternClassifier.corrections import Correction
from domains.patternClassifier.urls import split_url
from domains.pomodoro.board_windows import BoardWindows, CountedWindow
from domains.pomodoro.correcting import Corrections
from infrastructure.http import schemas
from infrastructure.http.endpoint import Endpoint
from infrastructure.http.guard import Guard
from infrastructure.operations.task_runner import request_for

_MOST = 500
_NOWHERE = Window("", "", "")


class CorrectionApi:
    """`require` refuses who may not see what is a user's own; `board_of` gives a board's key and day."""

    def __init__(
        self,
        windows: BoardWindows,
        boards: LeaderboardCachePort,
        store: Corrections,
        tasks: TaskQueuePort,
        guard: Guard,
        require: Callable[[web.Request, str], None],
        board_of: Callable[[schemas.BoardPlace], tuple[str, date]],
        categories: Callable[[], Collection[str]],
    ) -> None:
        self._windows = windows
        self._boards = boards
        self._corrections = store
        self._tasks = tasks
        self._guard = guard
        self._require = require
        self._board_of = board_of
        self._categories = categories

    async def board_windows(self, request: web.Request, query: schemas.WindowsQuery) -> schemas.BoardWindows:
        self._require(request, query.user_id)
        key, day = self._board_of(query)
        found = await self._windows.find(query.category, query.user_id, Period(query.period), day)
        return schemas.BoardWindows(
            category=query.category,
            period=query.period,
            date=day,
            user_id=query.user_id,
            score=(await self._boards.rank(key, query.user_id)).score,
            seconds=fsum(each.seconds for each in found),
            total=len(found),
            content=[_window(each) for each in found[: query.limit]],
        )

    async def corrections(self, request: web.Request) -> schemas.Corrections:
        return schemas.Corrections(content=_documents((await self._corrections.find_all())[:_MOST]))

    async def correct(self, request: web.Request, body: schemas.CorrectionBody) -> schemas.Correction:
        if body.category not in self._categories():
            raise web.HTTPNotFound(text="there is no such category; /api/categories has them all")
        user, window = body.user_id, Window(body.app, body.url, body.title)
        if body.log_id is not None:
            found = await self._corrections.window_of(body.log_id)
            if found is None or user not in ("", found[0].user_id):
                raise web.HTTPNotFound(text="there is no such usage log of the user, or its window is unknown")
            user, window = found[0].user_id, found[1]
        if window == _NOWHERE:
            raise web.HTTPBadRequest(text="logId, or app, url or title, says which window")
        if not (user or body.for_all):
            raise web.HTTPBadRequest(text="userId says whose window it is, or forAll that it is everybody's")
        by = self._guard.owner(request)
        try:
            made = await self._corrections.correct("" if body.for_all else user, window, body.category, by)
        except TaskRefused as refusal:
            raise web.HTTPConflict(text=str(refusal)) from None
        await self._begin(request, made, f"corrected a window: {body.category}")
        return _document(made)

    async def undo(self, request: web.Request, which: schemas.CorrectionId, _: schemas.Nothing) -> schemas.Correction:
        try:
            undone = await self._corrections.undo(which.id)
        except TaskRefused as refusal:
            raise web.HTTPConflict(text=str(refusal)) from None
        if undone is None:
            raise web.HTTPNotFound(text="there is no such correction")
        await self._begin(request, undone, "undid a correction")
        return _document(undone)

    async def _begin(self, request: web.Request, correction: Correction, what: str) -> None:
        """Has it applied at once; the schedule would do it later. The audit names neither user nor window."""
        await self._tasks.send(request_for("apply_corrections", f"correction:{correction.id}"))
        await self._guard.changed(request, what, correction.id)

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/boards/{category}/users/{userId}/windows", self.board_windows,
                "The windows that made a user's hours on a board, for themselves and administrators",
                schemas.BoardWindows, schemas.WindowsQuery, access="more", problems=(404,),
            ),
            Endpoint(
                "GET", "/api/corrections", self.corrections, "What persons have said of windows, the latest first",
                schemas.Corrections, access="token",
            ),
            Endpoint(
                "POST", "/api/corrections", self.correct,
                "Corrects a window's category, from now on and, within seconds, on all boards",
                schemas.Correction, body=schemas.CorrectionBody, access="token", problems=(400, 404, 409),
            ),
            Endpoint(
                "POST", "/api/corrections/{id}/undo", self.undo, "Takes a correction back, on the boards as well",
                schemas.Correction, schemas.CorrectionId, schemas.Nothing, access="token", problems=(404, 409),
            ),
        ]  # fmt: skip


def _window(counted: CountedWindow) -> schemas.BoardWindow:
    window = counted.window or _NOWHERE
    return schemas.BoardWindow(
        category=counted.category,
        app=window.app,
        host=split_url(window.url)[0] if window.url else "",
        url=window.url,
        title=window.title,
        log_id=counted.log_id,
        logs=counted.logs,
        seconds=counted.seconds,
        tier=counted.tier,
    )


def _documents(found: Iterable[Correction]) -> list[schemas.Correction]:
    return [_document(each) for each in found]


def _document(correction: Correction) -> schemas.Correction:
    return schemas.Correction(
        id=correction.id,
        user_id=correction.user_id,
        **correction.window._asdict(),
        category=correction.category,
        by=correction.by,
        time=correction.time,
        state=correction.state.value,
        logs=correction.logs,
        seconds=correction.seconds,
    )
