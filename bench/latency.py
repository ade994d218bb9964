"""The time from XADD until a message is visible on its board.

python -m bench.latency REDIS_PORT RATE SECONDS [SHARE]    with a pipeline at work on the stream; prints JSON

A SHARE of the messages is of apps that no rule knows, three messages for each app. These are not probes.

Messages are sent at RATE a second, whatever the pipeline does. A probe is a message of a user of its own; it is
visible when ZMSCORE shows that user on the day's board. One request a millisecond asks for all probes under way. At
more than 1,000 messages a second only 1,000 of them are probes; the others come from the benchmark's 1,000 users. A
probe's time starts at the moment at which it was due, so a prober that is late counts against the pipeline and never
for it. The result is therefore an upper bound, which includes the prober's own millisecond and round trip. The round
trip and the prober's lateness are printed beside it.
"""

import json
import socket
import sys
import time
from itertools import count, cycle
from typing import Any

import hiredis

from bench.workload import STREAM, Workload, command
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.rules import RuleSet
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.settings import Settings
from infrastructure.spring.message_spelling import spring_fields

_APP = "Visual Studio Code"
_PROBES_PER_SECOND = 1000
_POLL_SECONDS = 0.001
_WARM_UP_SECONDS = 2.0
_GIVE_UP_SECONDS = 30.0


class Prober:
    def __init__(self, port: int, rate: float, unknown_share: float = 0.0) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = hiredis.Reader()
        self._rate = rate
        self._one_in = max(1, round(rate / _PROBES_PER_SECOND))
        self._unknown_one_in = round(1 / unknown_share) if unknown_share else 0
        self.unknown = 0
        self._now = time.time()
        self._logs = count()
        self._board = self._board_of_the_day()
        self._others = cycle([self._message(user) for user in Workload().users])
        self.under_way: dict[str, float] = {}
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.round_trips: list[float] = []

    def run(self, seconds: float) -> None:
        """Sends for `seconds` after a warm-up that is not measured, and waits for the last probe."""
        self._begun = time.perf_counter()
        number, last = 0, int((seconds + _WARM_UP_SECONDS) * self._rate)
        while number < last or self.under_way:
            now = time.perf_counter() - self._begun
            due = min(last, int(now * self._rate) + 1)
            commands = [self._next(index) for index in range(number, due)]
            if due > number:
                self.lateness.append(now - number / self._rate)
            number = due
            self._look(commands)
            if now > seconds + _WARM_UP_SECONDS + _GIVE_UP_SECONDS:
                raise TimeoutError(f"{len(self.under_way)} probes never became visible")
            until_next = self._begun + number / self._rate - time.perf_counter()
            time.sleep(_POLL_SECONDS if self.under_way else max(until_next, 0.0))

    def _next(self, index: int) -> bytes:
        if self._unknown_one_in and index % self._unknown_one_in == 0:
            self.unknown += 1
            return self._message(f"user-{index % 1000}", f"사내 도구 {_letters(self.unknown // 3)}")
        if index % self._one_in:
            return next(self._others)
        user = f"probe-{index}"
        self.under_way[user] = self._begun + index / self._rate
        return self._message(user)

    def _look(self, commands: list[bytes]) -> None:
        users = list(self.under_way)
        if users:
            commands.append(command("ZMSCORE", self._board, *users))
        asked = time.perf_counter()
        replies = self._exchange(commands)
        seen = time.perf_counter()
        if not users:
            return
        self.round_trips.append(seen - asked)
        for user, score in zip(users, replies[-1], strict=True):
            if score is not None:
                due = self.under_way.pop(user)
                if due - self._begun >= _WARM_UP_SECONDS:
                    self.latencies.append(seen - due)

    def _exchange(self, commands: list[bytes]) -> list[Any]:
        self._connection.sendall(b"".join(commands))
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._replies.gets()
            if reply is False:
                self._replies.feed(self._connection.recv(1 << 16))
            elif isinstance(reply, hiredis.ReplyError):
                raise reply
            else:
                replies.append(reply)
        return replies

    def _message(self, user: str, app: str = _APP) -> bytes:
        log_id = f"{0x7F000107 << 64 | next(self._logs):024x}"  # a log counts once
        fields = self._probe | {"userId": user, "app": app, "pomodoroUsageLogId": log_id}
        return command("XADD", STREAM, "*", *(part for field in fields.items() for part in field))

    def _board_of_the_day(self) -> str:
        match = RuleSet(default_patterns()).match(_APP, "")
        assert match is not None
        settings = Settings(_env_file=None)
        calendar = BoardCalendar(settings.zone)
        self._probe = spring_fields(
            {
                "app": _APP,
                "title": "README.md — pomocore",
                "url": "",
                "duration": 1.0,
                "timestamp": self._now,
                "session": 1,
                "sessionDate": calendar.day(self._now).isoformat(),
                "sessionMinutes": 25,
                "isEnd": False,
                "categorizedDataId": "68b6" * 6,
                "pomodoroUsageLogId": "",
            }
        )
        return calendar.boards(match.category, self._now).keys[0]


def percentile(values: list[float], share: float) -> float:
    """The lowest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _letters(number: int) -> str:
    """A different name for each number, in letters, since digits in names would be masked."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def main(port: int, rate: float, seconds: float, unknown_share: float = 0.0) -> None:
    prober = Prober(port, rate, unknown_share)
    prober.run(seconds)
    ms = [latency * 1000 for latency in prober.latencies]
    result = {
        "rate": rate,
        "probes": len(ms),
        "unknown": prober.unknown,
        "p50": percentile(ms, 0.5),
        "p99": percentile(ms, 0.99),
        "p99.9": percentile(ms, 0.999),
        "max": max(ms),
        "round_trip_p50": percentile(prober.round_trips, 0.5) * 1000,
        "round_trip_p99": percentile(prober.round_trips, 0.99) * 1000,
        "late_p99": percentile(prober.lateness, 0.99) * 1000,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
