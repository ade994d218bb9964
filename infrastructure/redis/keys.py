"""Every Redis key, field and script of the pipeline by name. The boards' keys are domains.leaderboard.model's."""

from importlib.resources import files


def _script(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


COMMIT_SCRIPT = _script("commit.lua")
DELIVER_SCRIPT = _script("deliver.lua")
SETTLE_SCRIPT = _script("settle.lua")
TIDY_SCRIPT = _script("tidy.lua")
LEAVE_SCRIPT = _script("leave.lua")
FIGURES_SCRIPT = _script("figures.lua")

REPLAY_SCRIPT = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return false end
return redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
"""
"""KEYS dead letters, stream. ARGV id of the letter, field, value, … The new entry's id, or nil: it was gone."""

REPLAY_SCORES_SCRIPT = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 1 end
local reply = redis.pcall('ZINCRBY', KEYS[2], kept, ARGV[2])
if type(reply) == 'table' and reply.err then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""
"""KEYS failed scores, board. ARGV field, user. 0: the board still cannot take it."""

REQUEUE_SCORES_SCRIPT = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 1 end
local boards = {[ARGV[2]] = {[ARGV[3]] = tonumber(kept)}}
redis.call('XADD', KEYS[2], '*', 'commit', cmsgpack.pack({boards = boards, events = {}}))
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""
"""The same on a cluster. KEYS failed scores, outbox. ARGV field, board, user."""

AROUND_SCRIPT = """
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
if not rank then return {0, 0, {}} end
local first = math.max(0, rank - ARGV[2])
return {rank + 1, first + 1, redis.call('ZREVRANGE', KEYS[1], first, rank + ARGV[2], 'WITHSCORES')}
"""
"""KEYS board, ARGV user, distance. A user's rank, the rank of the first row around them, and those rows."""

SESSION_SCORE_STREAM = "session_score_stream"
"""One entry a finished session, for Spring. Fields: userId, sessionDate, session."""

CLASSIFICATION_PREFIX = "pomocore:classification:"
"""Strings with a TTL: the category that the LLM named for a window."""


class StreamKeys:
    """The keys that belong to one activity stream: none is shared by two streams.

    `prefix` stands before the keys that Spring reads, too. On a cluster (`clustered`) all keys of a stream lie in the
    stream's own slot: a stream without a hash tag becomes the tag of its bookkeeping.
    """

    def __init__(self, stream: str, prefix: str = "", clustered: bool = False) -> None:
        self.stream = prefix + stream
        own = f"{{{self.stream}}}" if clustered and "{" not in self.stream else self.stream
        self.dead_letters = f"{own}:dlq"
        """Stream: reason, originalId, deliveryCount, time (Unix seconds), truncated, fields (JSON)."""
        self.ends = f"{own}:ends"
        """ZSET, all scores 0: committed ends whose session may still have uncommitted messages."""
        self.announced = f"{own}:announced"
        """ZSET: sessions already announced, by the time (Unix seconds) of their announcement."""
        self.failed_scores = f"{own}:failed_scores"
        """HASH: seconds that a board could not take, by "board<newline>user"."""
        self.deferred = f"{own}:deferred"
        """Stream: messages that were committed with a provisional category."""
        self.outbox = f"{own}:outbox"
        """Stream, on a cluster only: committed scores and events on their way to the slots of their keys."""
        self.sample = f"{own}:sample"
        """String: how many spans of the bundled sample are on the stream already."""
        self.session_scores = prefix + SESSION_SCORE_STREAM


def applied_marker(key: str) -> str:
    """HASH in the slot of `key`, on a cluster only: up to which entry of each outbox `key` has been served."""
    return f"pomocore:applied:{key if '{' in key else f'{{{key}}}'}"
