"""Every Redis key, field and script of the pipeline by name. The boards' keys are domains.leaderboard.model's."""

from importlib.resources import files


def _script(name: str) -> str:
    return files(__package__).joinpath("scripts", name).read_text(encoding="utf-8")


COMMIT_SCRIPT = _script("commit.lua")
DELIVER_SCRIPT = _script("deliver.lua")
SETTLE_SCRIPT = _script("settle.lua")
TIDY_SCRIPT = _script("tidy.lua")
LEAVE_SCRIPT = _script("leave.lua")
FIGURES_SCRIPT = _script("figures.lua")
CUT_SCRIPT = _script("cut.lua")
SWAP_SCRIPT = _script("swap.lua")

REPLAY_SCRIPT = """
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return false end
local id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))  -- first: it may fail, and then the letter stays
redis.call('XDEL', KEYS[1], ARGV[1])
return id
"""
"""KEYS dead letters, stream. ARGV id of the letter, field, value, … The new entry's id, or nil: it was gone."""

REPLAY_SCORES_SCRIPT = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 1 end
if math.abs(tonumber(kept)) >= 1e-6 then
  local reply = redis.pcall('ZINCRBY', KEYS[2], kept, ARGV[2])
  if type(reply) == 'table' and reply.err then return 0 end
  if tonumber(kept) < 0 and math.abs(tonumber(reply)) < 1e-6 then redis.call('ZREM', KEYS[2], ARGV[2]) end
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""
"""KEYS failed scores, board. ARGV field, user. 0: the board still cannot take it. A sum of nothing was moved away."""

REQUEUE_SCORES_SCRIPT = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 1 end
if math.abs(tonumber(kept)) >= 1e-6 then
  local boards = {[ARGV[2]] = {[ARGV[3]] = tonumber(kept)}}
  redis.call('XADD', KEYS[2], '*', 'commit', cmsgpack.pack({boards = boards, events = {}}))
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""
"""The same on a cluster. KEYS failed scores, outbox. ARGV field, board, user."""

RENEW_SCRIPT = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
"""KEYS what is noted for a rebuild. ARGV token, milliseconds to keep it. 0: it is gone, or another one's."""

ABANDON_SCRIPT = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
"""KEYS what is noted for a rebuild. ARGV token."""

AROUND_SCRIPT = """
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
if not rank then return {0, 0, {}} end
local first = math.max(0, rank - ARGV[2])
return {rank + 1, first + 1, redis.call('ZREVRANGE', KEYS[1], first, rank + ARGV[2], 'WITHSCORES')}
"""
"""KEYS board, ARGV user, distance. A user's rank, the rank of the first row around them, and those rows."""

SESSION_SCORE_STREAM = "session_score_stream"
"""One entry a finished session, for Spring. Fields: userId, sessionDate, session."""

CACHE_PUT_SCRIPT = """
local function drop(digests)
  for _, digest in ipairs(digests) do
    redis.call('HDEL', KEYS[1], digest)
    redis.call('ZREM', KEYS[2], digest)
  end
end
for i = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
end
drop(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 1000))
local over = redis.call('ZCARD', KEYS[2]) - ARGV[2]
if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, over - 1)) end
"""
"""KEYS answers, expiries. ARGV now, limit, then digest, Unix seconds of its expiry, category name, …"""

TAKE_BUDGET_SCRIPT = """
local calls_max, tokens_max = tonumber(ARGV[1]), tonumber(ARGV[2])
if tokens_max > 0 and tonumber(redis.call('GET', KEYS[2]) or 0) >= tokens_max then return 2 end
if calls_max > 0 and tonumber(redis.call('GET', KEYS[1]) or 0) >= calls_max then return 1 end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], 120)
return 0
"""
"""KEYS calls of the minute, tokens of the day. ARGV the most of each, 0: no limit. 1: no more calls, 2: tokens."""


class LLMKeys:
    """The keys that all instances share about the LLM, in one slot. `minute` and `day` are of UTC."""

    def __init__(self, prefix: str = "") -> None:
        own = f"{prefix}{{pomocore:llm}}" if "{" not in prefix else f"{prefix}pomocore:llm"
        self.answers = f"{own}:answers"
        """HASH: its expiry (Unix seconds) and the category that the LLM named, by the digest of the question."""
        self.expiries = f"{own}:expiries"
        """ZSET: the same digests by their expiry."""
        self._own = own

    def calls(self, minute: str) -> str:
        return f"{self._own}:calls:{minute}"

    def tokens(self, day: str) -> str:
        return f"{self._own}:tokens:{day}"


TURN_SCRIPT = """
local version = redis.call('GET', KEYS[3]) or '0'
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, version, false} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, version, redis.call('LINDEX', KEYS[2], 0)}
"""
"""KEYS lease, commands being run, version of the patterns. ARGV who asks, milliseconds of the lease. Whether it is
theirs, the version, and the first command that was being run by somebody."""

SEND_ONCE_SCRIPT = """
if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
return 1
"""
"""KEYS commands, that it was sent. ARGV the command, seconds to remember it."""


class TaskQueueKeys:
    """The list of commands and what belongs to it; on a cluster in the list's slot, as in StreamKeys."""

    def __init__(self, commands: str, prefix: str = "", clustered: bool = False) -> None:
        self.commands = prefix + commands
        """LIST of JSON, RPUSHed by Spring."""
        own = f"{{{self.commands}}}" if clustered and "{" not in self.commands else self.commands
        self.processing = f"{own}:processing"
        """LIST: the command that is being run, until its end has been told."""
        self.lease = f"{own}:lease"
        """String with a TTL: who runs commands."""
        self.patterns = f"{own}:patterns"
        """Counter: every instance loads the patterns when it has changed."""
        self._own = own

    def sent(self, command_id: str) -> str:
        return f"{self._own}:sent:{command_id}"


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
        """Stream: userId, app, title, url, duration, timestamp, category, categorizedDataId, pomodoroUsageLogId."""
        self.deferred_lease = f"{own}:deferred:lease"
        """String with a TTL: the consumer that sees to the deferred messages."""
        self.rebuild = f"{own}:rebuild"
        """HASH with a TTL, while boards are rebuilt: token, oldest (the entry from which on nothing may be trimmed),
        and seconds that commits have added since, by "board<newline>user"."""
        self.outbox = f"{own}:outbox"
        """Stream, on a cluster only: committed scores and events on their way to the slots of their keys."""
        self.sample = f"{own}:sample"
        """String: how many spans of the bundled sample are on the stream already."""
        self.session_scores = prefix + SESSION_SCORE_STREAM


def applied_marker(key: str) -> str:
    """HASH in the slot of `key`, on a cluster only: up to which entry of each outbox `key` has been served."""
    return f"pomocore:applied:{key if '{' in key else f'{{{key}}}'}"
