"""A run over all users, in two stages of jobs: who gets a card, and their cards."""

import json
from collections import defaultdict
from collections.abc import Mapping
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
        board, anchor = _text(job, "board"), _text(job, "anchor")
        chunks = defaultdict[int, list[str]](list)
        # neighbours in the store are in one chunk: what is written lies on fewer of its pages
        users = sorted([user async for page in self._boards.members(board) for user in page])
        for first in range(0, len(users), _CLAIMED_AT_ONCE):
            some = users[first : first + _CLAIMED_AT_ONCE]
            for user, number in (await self._runs.claim(f"{job.run}:{anchor}", board, some)).items():
                chunks[number // CHUNK].append(user)
            whole = [number for number, users in chunks.items() if len(users) == CHUNK]
            await self._add_chunks(job, {number: chunks.pop(number) for number in whole})
        await self._add_chunks(job, chunks)

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

    async def _add_chunks(self, job: Job, chunks: Mapping[int, list[str]]) -> None:
        """Adds jobs for the chunks, by their numbers among those of the board."""
        anchor = _text(job, "anchor")
        await self._users_queue.add(
            [
                NewJob(f"{job.key} {number}", {"users": json.dumps(users), "anchor": anchor}, job.run)
                for number, users in chunks.items()
            ]
        )
        if chunks:
            await self._runs.note(job.run, "", RunFigures())


def _text(job: Job, name: str) -> str:
    if not isinstance(value := job.data.get(name), str):
        raise JobFailed(f"the job has no {name}")
    return value
