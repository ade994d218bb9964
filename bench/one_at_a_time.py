"""The N+1 version: one message at a time, and it waits for each single command.

python -m bench.one_at_a_time REDIS_PORT MONGO_URI DATABASE MESSAGES SEPARATE    prints JSON

For each message: XREADGROUP COUNT 1, look up its window, write the window's category, write the log (an update by id,
or an insert if the message has no ids), ZINCRBY for each of its 3 or 6 boards, XADD if its session ends, XACK. With
SEPARATE 0, the boards, the event and XACK go in one pipeline, as a frugal author would write it.

It uses the synchronous drivers, which are faster for single commands than the asynchronous ones, and the pipeline's
own parser, rules and keys. It has none of the pipeline's guarantees.
"""

import json
import sys
import time
from typing import Any

import redis
from bson import ObjectId
from pymongo import MongoClient

from bench.parts import Parts
from bench.workload import GROUP, STREAM
from domains.patternClassifier.model import Classification
from domains.pomodoro.model import PomodoroPatternClassifyMessage, categorized_data_id, start_of_day, usage_log_id
from infrastructure.redis.keys import SESSION_SCORE_STREAM

_CONSUMER = "one-at-a-time"


class OneAtATime:
    def __init__(self, client: Any, database: Any, separate: bool) -> None:
        self._redis = client
        self._windows, self._logs = database.categorized_data, database.pomodoro_usage_log
        self._separate = separate
        self._parts = Parts()

    def next(self) -> None:
        reply = self._redis.xreadgroup(GROUP, _CONSUMER, {STREAM: ">"}, count=1)
        entries = reply[STREAM][0] if isinstance(reply, dict) else reply[0][1]
        (message,) = self._parts.messages(entries)
        app, url, title = message.window
        known = self._windows.find_one({"app": app, "url": url, "title": title})
        snapshot = self._parts.classifier.snapshot
        decided = snapshot.by_rules(message.window) or snapshot.fallback(message.window)
        self._write(message, decided, known)
        self._count(message, decided)

    def _write(self, message: PomodoroPatternClassifyMessage, decided: Classification, known: Any) -> None:
        category = {"categoryId": ObjectId(decided.category_id)}
        if message.categorized_data_id:
            window_id = ObjectId(message.categorized_data_id)
            self._windows.update_one({"_id": window_id}, {"$set": category | {"IsLLMBased": False}})
            self._logs.update_one({"_id": ObjectId(message.pomodoro_usage_log_id)}, {"$set": category})
            return
        app, url, title = message.window
        window_id = known["_id"] if known else ObjectId(categorized_data_id(message.window))
        if known is None:
            fields = {"_id": window_id, "app": app, "url": url, "title": title, "IsLLMBased": False}
            self._windows.replace_one({"_id": window_id}, fields | category, upsert=True)
        log = {
            "_id": ObjectId(usage_log_id(STREAM, message.origin_id)),
            "userId": message.user_id,
            "CategorizedDataId": window_id,
            "session": message.session,
            "sessionMinutes": message.session_minutes,
            "sessionDate": start_of_day(message.session_date, self._parts.calendar.zone),
            "timestamp": message.timestamp,
            "duration": message.duration,
        }
        self._logs.insert_one(log | category)

    def _count(self, message: PomodoroPatternClassifyMessage, decided: Classification) -> None:
        target = self._redis if self._separate else self._redis.pipeline(transaction=False)
        for board in self._parts.calendar.boards(decided.category, message.timestamp).keys:
            target.zincrby(board, message.duration, message.user_id)
        if message.is_end:
            event = {"userId": message.user_id, "sessionDate": message.session_date.isoformat()}
            target.xadd(SESSION_SCORE_STREAM, event | {"session": message.session})
        target.xack(STREAM, GROUP, message.entry_id)
        if not self._separate:
            target.execute()


def main(port: int, mongo_uri: str, database: str, count: int, separate: bool) -> None:
    client = redis.Redis(port=port, decode_responses=True)
    mongo: Any = MongoClient(mongo_uri)
    with mongo:
        client.xgroup_create(STREAM, GROUP, id="0")
        version = OneAtATime(client, mongo[database], separate)
        for _ in range(count // 10):  # opens the connections and warms the caches
            version.next()
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            version.next()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"messages": count, "seconds": seconds, "pipeline_cpu": cpu}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1")
