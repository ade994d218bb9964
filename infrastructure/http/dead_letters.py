"""Dead letters in the API: looked through, put back on the stream as they are or corrected, and dropped."""

import asyncio
from collections import Counter
from collections.abc import Collection
from math import inf
from time import monotonic, time

from aiohttp import web

from domains.operations.model import Entry, LetterGroup, LetterSummary, Outcome, Outcomes, Selection, StoredDeadLetter
from domains.operations.ports import DeadLettersPort
from domains.operations.service import chosen_letters, grouped_letters, outcome_of, outcomes_within, replay_letters
from infrastructure.http import schemas
from infrastructure.http.endpoint import ANSWER_BYTES, Endpoint
from infrastructure.http.guard import Guard
from infrastructure.observing.nearest_name import hint
from infrastructure.spring.message_parser import MessageParser
from infrastructure.spring.replayed_message import OUR_FIELDS, fault_of_correction, first_came, past_replays

_TEXT_CHARACTERS = 1000
_MOST_REPLAYED = 200
_MOST_DROPPED = 5000
"""Letters that one request replays or drops: it has a deadline."""
_MOST_LEFT = 100
_SUMMARY_KEPT_SECONDS = 2.0
_SUMMARY_SHARE = 0.05
"""Of its time, that a process may spend on counting letters: it also serves the pipeline."""
_CUT = "its fields were cut because of their size: it cannot be put back"


class DeadLetterApi:
    def __init__(
        self, letters: DeadLettersPort, parser: MessageParser, streams: Collection[str], guard: Guard
    ) -> None:
        """`streams` are those of the pipeline's messages; letters of others are jobs."""
        self._letters = letters
        self._parser = parser
        self._streams = frozenset(streams)
        self._guard = guard
        self._counting = asyncio.Lock()
        self._counted = list[LetterGroup]()
        self._count_again = -inf

    async def dead_letters(self, request: web.Request, query: schemas.DeadLetterQuery) -> schemas.DeadLetters:
        admitted = self._guard.admits(request)
        self._require(query.stream)
        selection = Selection(
            reason=query.reason, stream=query.stream, kind=query.kind, text=query.q, public=not admitted
        )
        found = await self._letters.page(query.limit, selection.__contains__, query.before)
        content, room = list[schemas.DeadLetterDocument](), ANSWER_BYTES // 2 if admitted else 0
        for letter in found.letters:
            whole = await self._letters.get(letter.id) if letter.size < room else None
            room -= letter.size if whole else 0
            content.append(_document(letter, admitted, whole))
        return schemas.DeadLetters(content=content, next=found.next)

    async def dead_letter_summary(self, request: web.Request) -> schemas.DeadLetterSummary:
        async with self._counting:  # counting goes through all of them
            if (started := monotonic()) >= self._count_again:
                self._counted = await grouped_letters(self._letters, Selection())
                now = monotonic()
                self._count_again = now + max(_SUMMARY_KEPT_SECONDS, (now - started) / _SUMMARY_SHARE)
        groups = [
            schemas.DeadLetterGroup(
                kind=kind, reason=reason[:_TEXT_CHARACTERS], count=size, oldest=oldest, latest=latest, streams=streams
            )
            for kind, reason, size, oldest, latest, streams in self._counted
        ]
        return schemas.DeadLetterSummary(total=sum(group.count for group in groups), groups=groups)

    async def replay_dead_letter(
        self, request: web.Request, which: schemas.DeadLetterId, body: schemas.ReplayBody
    ) -> schemas.Replayed:
        letter = await self._letters.get(which.id)
        if letter is None:
            raise web.HTTPNotFound(text="there is no such dead letter")
        if letter.truncated:
            raise web.HTTPConflict(text=_CUT)
        if body.fields and (fault := fault_of_correction(letter, body.fields, self._parser, self._streams)):
            raise web.HTTPConflict(text=fault[:_TEXT_CHARACTERS])
        new_id = await self._letters.replay(letter, body.fields)
        if new_id is None:
            raise web.HTTPNotFound(text="somebody else was faster: it is no longer there")
        self._changed()
        entry = Entry(letter.stream, new_id)
        ends = await outcomes_within(self._letters, [entry], body.wait)
        told = _replayed(letter.id, entry, ends)
        what = f"corrected ({', '.join(sorted(body.fields))}) and replayed" if body.fields else "replayed"
        await self._guard.changed(request, f"{what} a dead letter", letter.id, told.outcome)
        return told

    async def replay_dead_letters(self, request: web.Request, body: schemas.ReplayChoice) -> schemas.ReplayedLetters:
        self._require(body.stream)
        until, selection = _selection(body)
        replayed, left = await replay_letters(self._letters, selection, _MOST_REPLAYED)
        self._changed()
        ends = await outcomes_within(self._letters, replayed.values(), body.wait)
        told = [_replayed(letter_id, entry, ends) for letter_id, entry in replayed.items()]
        counts = Counter[str](each.outcome for each in told)
        outcome = f"{len(told)} replayed: " + ", ".join(f"{counts[it]} {it}" for it in Outcome)
        await self._guard.changed(request, "replayed dead letters", body.described, outcome)
        return schemas.ReplayedLetters(
            replayed=told,
            left=[schemas.LeftLetter(id=letter_id, why=why) for letter_id, why in [*left.items()][:_MOST_LEFT]],
            counts={outcome: counts[outcome] for outcome in Outcome} | {"left": len(left)},
            until=until,
            more=len(replayed) == _MOST_REPLAYED,
        )

    async def drop_dead_letters(self, request: web.Request, body: schemas.LetterChoice) -> schemas.DroppedLetters:
        self._require(body.stream)
        until, selection = _selection(body)
        chosen = await chosen_letters(self._letters, selection, _MOST_DROPPED)
        dropped = await self._letters.drop(chosen)
        self._changed()
        await self._guard.changed(request, "dropped dead letters", body.described, f"{dropped} dropped")
        return schemas.DroppedLetters(dropped=dropped, until=until, more=len(chosen) == _MOST_DROPPED)

    def _require(self, stream: str) -> None:
        if stream and stream not in self._letters.streams:
            raise web.HTTPNotFound(text=f"{stream}: no such stream; {hint(stream, self._letters.streams)}")

    def _changed(self) -> None:
        """What was just counted quickly is counted again when somebody looks."""
        if self._count_again <= monotonic() + _SUMMARY_KEPT_SECONDS:
            self._count_again = -inf

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/dead-letters", self.dead_letters,
                "The latest messages that could not be processed, page by page; with the token, their fields, too",
                schemas.DeadLetters, schemas.DeadLetterQuery, access="more", problems=(404,),
            ),
            Endpoint(
                "GET", "/api/dead-letters/summary", self.dead_letter_summary,
                "How many there are, by kind and reason", schemas.DeadLetterSummary,
            ),
            Endpoint(
                "POST", "/api/dead-letters/{id}/replay", self.replay_dead_letter,
                "Puts a message back on the stream, once, corrected or as it is, and tells what became of it",
                schemas.Replayed, schemas.DeadLetterId, schemas.ReplayBody, access="token", problems=(404, 409),
            ),
            Endpoint(
                "POST", "/api/dead-letters/replay", self.replay_dead_letters, f"The same for up to {_MOST_REPLAYED}",
                schemas.ReplayedLetters, body=schemas.ReplayChoice, access="token", problems=(404,),
            ),
            Endpoint(
                "POST", "/api/dead-letters/drop", self.drop_dead_letters, f"Deletes up to {_MOST_DROPPED} for good",
                schemas.DroppedLetters, body=schemas.LetterChoice, access="token", problems=(404,),
            ),
        ]  # fmt: skip


def _selection(body: schemas.LetterChoice) -> tuple[float, Selection]:
    """Those that there are now, or were at a time: what is replayed may come back, and must not be met again."""
    until = body.until or time()
    chosen = body.ids, body.reason, "", body.stream, body.kind, body.q
    return until, Selection(*chosen, until)


def _replayed(letter_id: str, entry: Entry, ends: Outcomes) -> schemas.Replayed:
    letter = ends.get(entry)
    return schemas.Replayed(
        id=letter_id,
        new_id=entry.id,
        outcome=outcome_of(entry, ends).value,
        letter_id=letter.id if letter else None,
        why=letter.reason[:_TEXT_CHARACTERS] if letter else None,
    )


def _document(letter: LetterSummary, admitted: bool, whole: StoredDeadLetter | None) -> schemas.DeadLetterDocument:
    """A dead letter. Without the token it has no quoted values and no text of a store about a message."""
    return schemas.DeadLetterDocument(
        id=letter.id,
        stream=letter.stream,
        kind=letter.kind,
        reason=(letter.reason if admitted else letter.public_reason)[:_TEXT_CHARACTERS],
        user_id=letter.user_id[:_TEXT_CHARACTERS],
        original_id=letter.original_id,
        deliveries=letter.deliveries,
        time=letter.time,
        truncated=letter.truncated,
        fields={name: value for name, value in whole.fields.items() if name not in OUR_FIELDS} if whole else None,
        first_came=first_came(whole) if whole else None,
        history=[schemas.PastReplay(**past._asdict()) for past in past_replays(whole.fields)] if whole else None,
    )
