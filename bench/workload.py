"""Many messages as the Spring server sends them, the same ones in every run.

In the order "sessions" a session's spans, ten on average, come together, as Spring sends them when a session ends. In
the order "random" 1,000 users' spans are mixed, so that a batch holds nearly as many (user, category) pairs as
messages: the sums of a batch save little then, which is the hard case for the boards.
"""

import random
import socket
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate, islice
from typing import Literal, NamedTuple

from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.spring.message_spelling import java_double

Kind = Literal["linked", "unlinked", "mixed"]
"""Messages with both document ids (today's server), without ids (the earlier flow), or both kinds by turns."""

Order = Literal["sessions", "random"]
"""The order of spans: a session's together, or all users mixed."""

STREAM = "pomodoro_pattern_match_stream"
GROUP = "pomodoro_pattern_match_group"

_FIRST_SPAN = 1_756_684_800_000  # 2025-09-01 09:00 in Seoul, in ms
_MS_BETWEEN_SPANS = 125
_SHARE_OF_ENDS = 0.1
_DRAWN_AT_ONCE = 10_000
_BROWSERS = ("Google Chrome", "Safari", "Microsoft Edge", "Whale", "Arc")
_SEND_BYTES = 1 << 18


class Window(NamedTuple):
    app: str
    url: str
    title: str


class Span(NamedTuple):
    number: int
    user: int
    window: int
    duration: int
    is_end: bool
    session: int


class Workload:
    """An endless, seeded sequence of spans. Some `windows` are much more frequent than others, as in real life."""

    def __init__(
        self,
        kind: Kind = "linked",
        order: Order = "sessions",
        users: int = 1000,
        windows: int = 4000,
        seed: int = 5,
    ) -> None:
        self.kind = kind
        self._order = order
        self._seed = seed
        rng = random.Random(seed)
        self.users = [f"{rng.getrandbits(96):024x}" for _ in range(users)]
        self.windows = _windows(rng, windows)
        self._durations = [round(rng.expovariate(1 / 120), 3) for _ in range(4096)]
        self._popularity = list(accumulate(1 / (rank + 10) for rank in range(windows)))

    def spans(self, count: int) -> Iterator[Span]:
        """The first `count` spans; the same ones with every call."""
        return islice(self._endless(), count)

    def is_linked(self, number: int) -> bool:
        return self.kind == "linked" or (self.kind == "mixed" and number % 2 == 0)

    def commands(
        self, count: int, stream: str = STREAM, ids: bool = True, takes: Callable[[str], bool] = lambda _: True
    ) -> Iterator[bytes]:
        """Encoded XADD commands for those of the first `count` spans whose users `takes` accepts.

        With `ids`, entries get ids of our own instead of `*`, so that no reply is needed.
        """
        here = [takes(user) for user in self.users]
        users = [_field("userId", user) for user in self.users]
        windows = [_fields(app=w.app, title=w.title, url=w.url) for w in self.windows]
        durations = [_field("duration", java_double(duration)) for duration in self._durations]
        rest = _field("sessionMinutes", "25")
        ends = (_field("isEnd", "false"), _field("isEnd", "true"))
        session = lru_cache(None)(lambda number: _field("session", str(number)))
        heads = {linked: _head(stream, linked) for linked in (False, True)}
        for number, user, window, duration, is_end, session_number in self.spans(count):
            if not here[user]:
                continue
            linked = self.is_linked(number)
            entry_id = b"$15\r\n%d-0\r\n" % (_FIRST_SPAN + number) if ids else b"$1\r\n*\r\n"
            yield b"".join(
                (
                    heads[linked],
                    entry_id,
                    users[user],
                    windows[window],
                    durations[duration],
                    _timestamp(_FIRST_SPAN + number * _MS_BETWEEN_SPANS),
                    session(session_number),
                    rest,
                    ends[is_end],
                    _document_ids(number) if linked else b"",
                )
            )

    def _endless(self) -> Iterator[Span]:
        rng = random.Random(self._seed + 1)
        sessions = [0] * len(self.users)
        number = 0
        user = 0
        while True:
            users = rng.choices(range(len(self.users)), k=_DRAWN_AT_ONCE)
            windows = rng.choices(range(len(self.windows)), cum_weights=self._popularity, k=_DRAWN_AT_ONCE)
            durations = rng.choices(range(len(self._durations)), k=_DRAWN_AT_ONCE)
            for drawn, window, duration in zip(users, windows, durations, strict=True):
                if self._order == "random":
                    user = drawn
                is_end = rng.random() < _SHARE_OF_ENDS
                yield Span(number, user, window, duration, is_end, sessions[user])
                sessions[user] += is_end
                number += 1
                if is_end:
                    user = drawn


def document_ids(number: int) -> tuple[str, str]:
    """The ids of the two documents that Spring inserts for a span, in `categorized_data` and `pomodoro_usage_log`.

    That of the log says that it has just been created: its time is later than that of any entry.
    """
    return f"{0xDA7A << 80 | number:024x}", f"{0x7F000106 << 64 | number:024x}"


def command(*parts: str | bytes | int) -> bytes:
    """An encoded command."""
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)


def fill_stream(
    server: int | str,
    workload: Workload,
    count: int,
    stream: str = STREAM,
    takes: Callable[[str], bool] = lambda _: True,
) -> None:
    """Puts the messages of the first `count` spans that `takes` accepts on the stream of a server (port or path)."""
    with _connected(server) as connection:
        send_commands(connection, workload.commands(count, stream, takes=takes))


def _connected(server: int | str) -> socket.socket:
    if isinstance(server, int):
        return socket.create_connection(("127.0.0.1", server))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    return connection


def send_commands(connection: socket.socket, commands: Iterator[bytes]) -> None:
    """Sends commands without replies, and returns when the last one is executed.

    The caller has to check their effect.
    """
    connection.sendall(b"CLIENT REPLY OFF\r\n")
    block, size = [], 0
    for command in commands:
        block.append(command)
        size += len(command)
        if size >= _SEND_BYTES:
            connection.sendall(b"".join(block))
            block, size = [], 0
    connection.sendall(b"".join(block) + b"CLIENT REPLY ON\r\n")
    assert connection.recv(64) == b"+OK\r\n"


def _windows(rng: random.Random, count: int) -> list[Window]:
    """60 % pages of known hosts in a browser, 30 % apps that a rule knows, and 10 % apps that no rule knows."""
    patterns = default_patterns()
    hosts = [d.split("/")[0] for pattern in patterns for d in pattern.domain_patterns if "." in d]
    apps = [app for pattern in patterns for app in pattern.app_patterns]
    windows = []
    for number in range(count):
        kind = rng.random()
        title = f"Window {number} of a working day — pomocore"
        if kind < 0.6:
            url = f"https://www.{rng.choice(hosts)}/d/{rng.getrandbits(64):016x}?tab={number % 7}"
            windows.append(Window(rng.choice(_BROWSERS), url, title))
        else:
            windows.append(Window(rng.choice(apps) if kind < 0.9 else f"사내 도구 {number}", "", title))
    return windows


def _head(stream: str, linked: bool) -> bytes:
    fields = 12 if linked else 10
    name = stream.encode()
    return b"*%d\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n" % (3 + 2 * fields, len(name), name)


def _document_ids(number: int) -> bytes:
    data, log = document_ids(number)
    return _DOCUMENT_IDS % (data.encode(), log.encode())


def _timestamp(ms: int) -> bytes:
    text = _java_seconds(ms)
    date = _date_field(ms // 86_400_000, (ms % 86_400_000) // 3_600_000 >= 15)
    return b"$9\r\ntimestamp\r\n$%d\r\n%b\r\n%b" % (len(text), text, date)


def _java_seconds(ms: int) -> bytes:
    """`java_double` for times of this century, without Decimal: 1.756771234E9."""
    digits = str(ms)
    return f"{digits[0]}.{digits[1:].rstrip('0') or '0'}E9".encode()


@lru_cache
def _date_field(day: int, is_next_in_seoul: bool) -> bytes:
    return _field("sessionDate", (date(1970, 1, 1) + timedelta(day + is_next_in_seoul)).isoformat())


def _fields(**values: str) -> bytes:
    return b"".join(_field(name, value) for name, value in values.items())


def _field(name: str, value: str) -> bytes:
    encoded = value.encode()
    return b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name.encode(), len(encoded), encoded)


_DOCUMENT_IDS = b"$17\r\ncategorizedDataId\r\n$24\r\n%b\r\n$18\r\npomodoroUsageLogId\r\n$24\r\n%b\r\n"
