"""A run over all users, in two stages of jobs: who gets a card, and their cards."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date
from time import monotonic, time
from uuid import uuid4

from domains.focusCard.model import Run, RunFigures
from domains.focusCard.ports import BoardScoresPort, CardObserver, CardRunsPort
from domains.focusCard.service import FocusCards
from domains.kernel.errors import TaskRefused
from domains.workQueue.model import Job, JobFailed, NewJob
from domains.workQueue.ports import WorkQueuePort

CHUNK = 200
"""Users of one job."""
_CLAIMED_AT_ONCE = 500
"""It holds the server of the runs for some 2 µs a user."""
_SORTED_AT_ONCE = 20_000
_ADDED_AT_ONCE = 5


class CardRuns:
    """Starts runs, and does the jobs of both stages.

    A board's job claims the board's users, so that a user is in one chunk, and cuts them by the numbers that they got
    then: one that is done again adds the same chunks, whoever has joined or left meanwhile. When the last board is
    done, the second stage closes after its last chunk.
    """

    def __init__(
        self,
        runs: CardRunsPort,
        boards_queue: WorkQueuePort,
        users_queue: WorkQueuePort,
        cards: FocusCards,
        boards: BoardScoresPort,
        observer: CardObserver,
    ) -> None:
        self._runs = runs
        self._boards_queue = boards_queue
        self._users_queue = users_queue
        self._cards = cards
        self._boards = boards
        self._observer = observer

    async def start(self, day: date | None = None, resume: bool = False) -> Run:
        """Starts a run for the periods of `day`, or of today. Raises TaskRefused while one is under way.

        With `resume`, the one that is under way gets its jobs anew if it makes the same cards: whoever started it may
        have died.
        """
        run = Run(uuid4().hex[:12], [day] if day else self._cards.anchors(), time())
        if not await self._runs.begin(run):
            under_way = await self._runs.current()
            if not resume or under_way is None or (day and day not in under_way.anchors):
                raise TaskRefused("a run of the focus cards is under way")
            run = under_way
        await self._users_queue.hold(run.id)
        await self._boards_queue.hold(run.id)
        for anchor in run.anchors:
            jobs = [
                NewJob(f"{run.id} {anchor} {board}", {"board": board, "anchor": anchor.isoformat()}, run.id)
                for board in await self._cards.boards_of([anchor])
            ]
            await self._boards_queue.add(jobs)
        await self._boards_queue.release(run.id)
        return run

    async def do_board(self, job: Job) -> None:
        """The first stage: a board's users become chunks of the second."""
        if job.closes:
            await self._users_queue.release(job.run)
            return
        board, anchor, added, count = _text(job, "board"), _text(job, "anchor"), 0, 0
        async for users in self._sorted(board):
            for first in range(0, len(users), _CLAIMED_AT_ONCE):
                some = users[first : first + _CLAIMED_AT_ONCE]
                count = await self._runs.claim(f"{job.run}:{anchor}", board, some)
            await self._add_chunks(job, range(added, count // CHUNK))
            added = count // CHUNK
        await self._add_chunks(job, range(added, -(-count // CHUNK)))

    async def do_chunk(self, job: Job) -> None:
        """The second stage: the cards of a chunk of users."""
        if job.closes:
            await self._close(job.run)
            return
        started = monotonic()
        users, anchor = json.loads(_text(job, "users")), date.fromisoformat(_text(job, "anchor"))
        figures = await self._cards.refresh(users, anchor)
        await self._runs.note(job.run, job.key, figures)
        self._observer.cards_made(figures, monotonic() - started)

    async def progress(self, run: Run) -> tuple[bool, dict[str, object]]:
        """Whether the run has ended, and what can be told of it."""
        current = await self._runs.current()
        figures = await self._runs.figures(run.id)
        left = await self._boards_queue.open_jobs(run.id), await self._users_queue.open_jobs(run.id)
        told: dict[str, object] = {"run": run.id, "boards_left": left[0], "chunks_left": left[1], **figures._asdict()}
        return current is None or current.id != run.id, told

    async def state(self) -> tuple[Run | None, dict[str, object], float]:
        """The run that is under way, what can be told of it, and when one last ended (Unix seconds; 0: never).

        `workers` are those of the stage that has work left.
        """
        current, last = await self._runs.current(), await self._runs.last_end()
        if current is None:
            return None, {}, last
        _, told = await self.progress(current)
        of_boards, of_users = await self.workers()
        return current, told | {"workers": of_boards if told["boards_left"] else of_users}, last

    async def workers(self) -> tuple[int, int]:
        """How many are there to work on each stage."""
        queues = self._boards_queue, self._users_queue
        of_boards, of_users = [(await queue.figures()).workers for queue in queues]
        return of_boards, of_users

    async def _close(self, run_id: str) -> None:
        current, figures = await self._runs.current(), await self._runs.figures(run_id)
        await self._runs.end(run_id)
        if current is not None and current.id == run_id:
            self._observer.cards_run_ended(current, figures)

    async def _sorted(self, board: str) -> AsyncIterator[list[str]]:
        """The users of a board, by id as far as they fit into a few megabytes.

        Neighbours in the store are then in one chunk: what is written lies on fewer of its pages.
        """
        users = set[str]()
        async for page in self._boards.members(board):
            users.update(page)
            if len(users) >= _SORTED_AT_ONCE:
                yield sorted(users)
                users.clear()
        yield sorted(users)

    async def _add_chunks(self, job: Job, numbers: range) -> None:
        """Adds jobs for the chunks with these numbers among those of the board."""
        for first in numbers[::_ADDED_AT_ONCE]:
            some = range(first, min(first + _ADDED_AT_ONCE, numbers.stop))
            await self._users_queue.add(await asyncio.gather(*(self._chunk(job, number) for number in some)))
            await self._runs.note(job.run, "", RunFigures())

    async def _chunk(self, job: Job, number: int) -> NewJob:
        board, anchor = _text(job, "board"), _text(job, "anchor")
        users = await self._runs.claimed(f"{job.run}:{anchor}", board, number * CHUNK, CHUNK)
        return NewJob(f"{job.key} {number}", {"users": json.dumps(users), "anchor": anchor}, job.run)


def _text(job: Job, name: str) -> str:
    if not isinstance(value := job.data.get(name), str):
        raise JobFailed(f"the job has no {name}")
    return value
