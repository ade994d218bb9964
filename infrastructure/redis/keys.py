"""Every Redis key and field of the pipeline by name. The boards' keys are domains.leaderboard.model's."""

from domains.pomodoro.model import Session

SESSION_SCORE_STREAM = "session_score_stream"
"""One entry a finished session, for Spring. Fields: userId, sessionDate, session."""

AUDIT = "pomocore:audit"
"""Stream, behind the prefix of all keys: who, what, item, outcome. The ids have the time."""

CARD_BOARDS = "pomocore:cards:boards"
CARD_USERS = "pomocore:cards:users"
SITES_NEW = "pomocore:sites:new"
SITES_FETCHED = "pomocore:sites:fetched"
WORK_QUEUES = (CARD_BOARDS, CARD_USERS, SITES_NEW, SITES_FETCHED)
"""Every work queue, behind the prefix of all keys. Their dead letters are listed with those of the pipeline."""
WORKERS = "workers"
"""The consumer group of every work queue."""


INSTANCE = "pomocore:instance:"
"""String with a TTL, with the instance's name behind it and the prefix of all keys before it: a snapshot (JSON)."""


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

    def users(self, day: str) -> str:
        """HASH: tokens by the digest of the user. It has no more users than the budget has requests."""
        return f"{self._own}:users:{day}"


class SiteKeys:
    """The keys that all instances share about unknown sites, in one slot."""

    def __init__(self, prefix: str = "") -> None:
        own = f"{prefix}{{pomocore:sites}}" if "{" not in prefix else f"{prefix}pomocore:sites"
        self.seen = f"{own}:seen"
        """ZSET: sites that nobody knows, by the number of users who had them in front."""
        self.users = f"{own}:users:"
        """Prefix of HyperLogLogs with a TTL, by site: they count users and do not hold them."""
        self.categories = f"{own}:categories"
        """HASH: the category of each profiled site that has one."""
        self.turn = f"{own}:turn"
        """String with a TTL: when the next request may go out (Unix seconds)."""


class CounterKeys:
    """The counters of the deployment, in one slot."""

    def __init__(self, prefix: str = "") -> None:
        own = f"{prefix}{{pomocore:counters}}" if "{" not in prefix else f"{prefix}pomocore:counters"
        self.totals = f"{own}:totals"
        """HASH: what was counted, by name, and `since` (Unix seconds)."""
        self._own = own

    def bucket(self, step: int, start: int) -> str:
        """HASH with a TTL: what was counted in the `step` seconds from `start` on, by name."""
        return f"{self._own}:{step}:{start}"

    def flushed(self, process: str) -> str:
        """String with a TTL: the number of the process's last flush."""
        return f"{self._own}:flushed:{process}"


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
        self.history = f"{own}:history"
        """Stream: status (JSON) of the begin and the end of the last tasks."""
        self.schedule = f"{own}:schedule"
        """HASH: the due time (Unix seconds) of what was last asked for, by the task and its cron expression."""


class StreamKeys:
    """The keys that belong to one activity stream: none is shared by two streams.

    `prefix` stands before the keys that Spring reads, too. On a cluster (`clustered`) all keys of a stream lie in the
    stream's own slot: a stream without a hash tag becomes the tag of its bookkeeping.
    """

    def __init__(self, stream: str, prefix: str = "", clustered: bool = False) -> None:
        self.stream = prefix + stream
        own = f"{{{self.stream}}}" if clustered and "{" not in self.stream else self.stream
        self.dead_letters = f"{own}:dlq"
        """Stream: kind, reason, publicReason, originalId, deliveryCount, time (Unix seconds), truncated, userId,
        fields (JSON). Earlier versions wrote no kind, no publicReason, no userId."""
        self.ends = f"{own}:ends"
        """ZSET, all scores 0: ends that commits have noted and that are not announced."""
        self.announced = f"{own}:announced"
        """ZSET: sessions already announced, by the time (Unix seconds) of their announcement."""
        self.counted = f"{own}:counted:"
        """Prefix of SETs with a TTL: the logs (12 bytes each) that were counted, by day (since 1970) of their id."""
        self.failed_scores = f"{own}:failed_scores"
        """HASH: seconds that a board could not take, by "board<newline>user"."""
        self.deferred = f"{own}:deferred"
        """Stream: userId, app, title, url, duration, timestamp, category, categorizedDataId, pomodoroUsageLogId,
        sessionDate, session, and with EVENTS tier, source. Earlier versions wrote no session."""
        self.deferred_sessions = f"{own}:deferred:sessions"
        """HASH: how many messages are deferred, by session ("user<newline>date<newline>session").

        With ":" and such a name behind it, a SET with a TTL: the messages of the session that are being deferred.
        """
        self.deferred_lease = f"{own}:deferred:lease"
        """String with a TTL: the consumer that sees to the deferred messages."""
        self.rebuild = f"{own}:rebuild"
        """HASH with a TTL, while boards are rebuilt: token, oldest (the entry from which on nothing may be trimmed),
        and seconds that commits have added since, by "board<newline>user". Beside it, with the token and ":logs"
        behind its name, a SET of the logs (12 bytes each) that were counted since."""
        self.outbox = f"{own}:outbox"
        """Stream, on a cluster only: committed scores and events on their way to the slots of their keys."""
        self.events = f"{own}:events"
        """Stream, only with EVENTS: what commits have counted, as postings, on its way to the exporter. Fields:
        count, spans, spans_of, moves, moves_of (see commit.lua)."""
        self.events_state = f"{own}:events:state"
        """HASH: waiting (postings in `events`), gap and gap:yyyy-MM-dd (postings of all days and of one that found no
        room), settled (the last entry that was exported and dropped)."""
        self.events_lease = f"{own}:events:lease"
        """String with a TTL: the exporter at work."""
        self.events_stale = f"{own}:events:stale"
        """SET: days whose boards were rebuilt, and whose postings have to be compared with the usage logs."""
        self.quality = f"{own}:quality"
        """Prefix of HASHes with a TTL, by local hour (yyyy-MM-ddTHH): counts of events by "source|what"; and of SETs
        `seen:` and `ended:`, by "session date|source": the sessions; and of the JSON `report:` of each day."""
        self.sample = f"{own}:sample"
        """String: how many spans of the bundled sample are on the stream already."""
        self.collected = f"{own}:collected"
        """HASH: what the stream has of each collector's log, by the log's name: the position behind it.

        Beside it, with ":" and a day (since 1970) behind its name, a SET with a TTL: digests of the ids that clients
        gave their events on that day.
        """
        self.session_scores = prefix + SESSION_SCORE_STREAM


class WorkQueueKeys(StreamKeys):
    """The keys of a work queue: a stream of jobs (fields: key, run, data in JSON, closes) with its dead letters."""

    def __init__(self, queue: str, prefix: str = "", clustered: bool = False) -> None:
        super().__init__(queue, prefix, clustered)
        own = self.dead_letters.removesuffix(":dlq")
        self.jobs = f"{own}:jobs"
        """HASH: the entry of each job that waits or is being done, by the job's key."""
        self.tries = f"{own}:tries"
        """HASH: how often a job has failed, by its entry."""
        self._runs = f"{own}:run:"

    def run(self, run: str) -> str:
        """SET with a TTL: the keys of the run's jobs that are not done, and '' while it is held."""
        return self._runs + run


class CardRunKeys:
    """What is noted of runs over all users' focus cards."""

    def __init__(self, prefix: str = "") -> None:
        own = f"{prefix}pomocore:cards"
        self.lease = f"{own}:lease"
        """String with a TTL: the run that is under way, in JSON."""
        self.last_end = f"{own}:last_end"
        """String: when a run last ended (Unix seconds)."""
        self._own = own

    def figures(self, run: str) -> str:
        """HASH with a TTL: "users written unchanged" by job."""
        return f"{self._own}:figures:{run}"

    def mark(self, name: str) -> str:
        """String with a TTL: that something was done which must be done once."""
        return f"{self._own}:mark:{name}"

    def claimed(self, scope: str) -> str:
        """ZSET with a TTL: the users, by the number of the board that has their cards, and their own number there."""
        return f"{self._own}:claimed:{scope}"

    def claim_counts(self, scope: str) -> str:
        """HASH with a TTL: the number of a board's next user, by board; in the slot of the users."""
        return f"{self._own}:claimed_next:{{{self.claimed(scope)}}}"


def applied_marker(key: str) -> str:
    """HASH in the slot of `key`, on a cluster only: up to which entry of each outbox `key` has been served."""
    return f"pomocore:applied:{key if '{' in key else f'{{{key}}}'}"


def score_name(board: str, user_id: str) -> str:
    """How a user's score on a board is named in a hash that keeps scores of several boards. Lua has the same.

    A user's id may hold a newline, a board's key does not.
    """
    return f"{board}\n{user_id}"


def session_name(session: Session) -> str:
    """How a session is named where sessions are remembered. Lua has the same."""
    return f"{session.user_id}\n{session.session_date.isoformat()}\n{session.number}"
