"""The ceiling: a bare loop makes the pipeline's reads and runs its commit script with payloads that were made before.

python -m bench.ceiling REDIS_PORT MESSAGES BATCH    on a stream that bench.workload has filled; prints JSON

The pipeline's own code makes the payloads, so they are what the pipeline would send. The loop sends them from memory
and keeps a few batches on the way, so that Redis never waits. It does not decode the replies: it sends an ECHO after
each batch, and the batch is done when the ECHO's text comes back.
"""

import json
import socket
import sys
import time
from typing import Any

import redis

from bench.parts import Parts, payloads
from bench.workload import GROUP, STREAM, command
from infrastructure.redis import scripts

_ON_THE_WAY = 4
_MARK = b"pomocore-bench-batch-is-done"


def main(port: int, count: int, batch: int) -> None:
    client: Any = redis.Redis(port=port, decode_responses=True)
    parts = Parts()
    calls = payloads(client, batch, parts)
    digest = client.script_load(scripts.COMMIT)
    client.xgroup_create(STREAM, GROUP, id="0")
    read = command("XREADGROUP", "GROUP", GROUP, "ceiling", "COUNT", batch, "STREAMS", STREAM, ">")
    done = command("ECHO", _MARK)
    steps = [read + command("EVALSHA", digest, len(keys), *keys, *arguments) + done for keys, arguments in calls]
    redis_before, started = _redis_cpu(client), time.perf_counter()
    _send(port, steps)
    seconds = time.perf_counter() - started
    redis_cpu = _redis_cpu(client) - redis_before
    (group,) = client.xinfo_groups(STREAM)
    assert group["pending"] == 0, group
    assert group["entries-read"] == count, group
    print(json.dumps({"messages": count, "seconds": seconds, "redis_cpu": redis_cpu}))


def _send(port: int, steps: list[bytes]) -> None:
    buffer = bytearray(1 << 22)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        sent = done = 0
        tail = b""
        while done < len(steps):
            while sent < len(steps) and sent - done < _ON_THE_WAY:
                connection.sendall(steps[sent])
                sent += 1
            size = connection.recv_into(buffer)
            assert size, "redis-server hung up"
            received = tail + bytes(memoryview(buffer)[:size])
            done += received.count(_MARK)
            tail = received[-len(_MARK) + 1 :]


def _redis_cpu(client: Any) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
