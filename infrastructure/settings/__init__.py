"""All settings: from the environment, then from `.env`, then the defaults here."""

import os
import re
import socket
import ssl
import unicodedata
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, ValidationInfo, create_model, field_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, SettingsConfigDict

from domains.categoryPattern.model import PATTERN_CATEGORIES, UNCATEGORIZED, WORK_CATEGORIES
from domains.patternClassifier.model import Tier
from domains.patternClassifier.privacy import Privacy
from infrastructure.operations.task_registry import TASKS, TaskEntry

HOST_NAME = socket.gethostname()

_LISTS = frozenset(
    {
        "private_hosts",
        "private_apps",
        "classification_tiers",
        "redis_sentinels",
        "http_allowed_hosts",
        "http_trusted_proxies",
        "kafka_bootstrap_servers",
    }
)
_NOT_IN_VALUES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, halves of surrogate pairs, line and paragraph separators."""

OPTIONAL_TIERS = (Tier.SITE, Tier.MEMORY, Tier.CACHE, Tier.DOCUMENTS, Tier.MODEL, Tier.LLM)


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    return bool(host) and "/" not in host and "@" not in host and is_port


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, where an IPv6 address has brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _refuse_passphrase() -> str:
    raise ValueError("the key wants a passphrase")


_TOKEN_CHARACTERS = 12
_LEAST_LOG_DAYS = 62
_KEY_CHARACTERS = 16


class SettingsError(Exception):
    """The settings are wrong. The text is for a person and names every wrong setting."""


def _unit(unit: str) -> JsonDict:
    return {"unit": unit}


def admin_tokens(settings: "Settings") -> dict[str, str]:
    """The tokens for changes by the names of their owners; that of ADMIN_TOKEN is `admin`."""
    named = settings.admin_tokens.get_secret_value() if settings.admin_tokens else ""
    tokens = {name: token for name, _, token in (each.partition(":") for each in names_of(named))}
    return tokens | ({"admin": settings.admin_token.get_secret_value()} if settings.admin_token else {})


def names_of(value: str) -> list[str]:
    """The names in a setting whose value is a list separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


_NEVER = "never"


def _schedule_field(task: TaskEntry) -> object:
    meaning = f"when to run the task {task.name}: minute hour day month weekday (mon to sun) in TIMEZONE" + (
        "; never: never" if task.cron else "; not set: never"
    )
    return str, Field(task.cron, description=meaning)


_OF_SITES = frozenset({"crawl_sites"})
"""Tasks that are scheduled only where SITE_PROFILES is on."""
_SCHEDULED = [task for task in TASKS.values() if task.scheduled]

if TYPE_CHECKING:  # for a type checker the fields are not there: `Settings.schedule` is what asks for them
    ScheduleSettings = BaseSettings
else:
    ScheduleSettings = create_model(
        "ScheduleSettings",
        __base__=BaseSettings,
        **{task.schedule_setting: _schedule_field(task) for task in _SCHEDULED},
    )


class Settings(ScheduleSettings):
    """Descriptions are what `--help` shows, so they are written for operators."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    app_env: Literal["dev", "prod"] = Field(
        "dev",
        description="prod: logs are JSON, and the service does not start without MONGO_URI (or DATABASE_URL) and"
        " REDIS_ADDR (or REDIS_SENTINELS)",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    timezone: str = Field(
        "Asia/Seoul",
        description="time zone of the Spring server: days, weeks, months and sessionDate are local to it",
    )

    # Stores
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL (postgresql://user:password@host/database) for the focus cards, and without MONGO_URI"
        " for all documents",
    )
    mongo_uri: SecretStr | None = Field(None, description="MongoDB; not set: SQLite in DATA_DIR")
    mongo_database: str = Field("pomocore", pattern=r'^[^/\\. "$*<>:|?\x00]{1,63}$', description="database name")
    mongo_driver: Literal["motor", "pymongo"] = Field("motor", description="which asynchronous driver to use")
    mongo_create_indexes: bool = Field(
        True, description="create the index on (app, url, title) that look-ups need; it is not unique"
    )
    redis_sentinels: str = Field(
        "",
        description="host:port of each sentinel, separated by commas, in place of REDIS_ADDR: they say where"
        " REDIS_MASTER_NAME is",
    )
    redis_master_name: str = Field("mymaster", min_length=1, description="name of the master at REDIS_SENTINELS")
    redis_sentinel_password: SecretStr | None = Field(None, description="password of the sentinels; not set: none")
    redis_addr: str | None = Field(
        None, description="host:port or unix:///path; not set: a private redis-server in DATA_DIR"
    )
    redis_username: str | None = Field(None, description="user of Redis ACL; not set: the default user")
    redis_password: SecretStr | None = Field(None, description="password of Redis; not set: none")
    redis_db: int = Field(0, ge=0, description="number of the Redis database")
    redis_tls: bool = Field(False, description="connect to Redis by TLS")
    redis_tls_ca: Path | None = Field(
        None, description="file of CA certificates for TLS; not set: those of the system"
    )
    redis_tls_cert: Path | None = Field(
        None, description="file of the client certificate for TLS, for a Redis that asks for one"
    )
    redis_tls_key: Path | None = Field(
        None, description="file of the key of REDIS_TLS_CERT, without a passphrase; not set: in the same file"
    )
    redis_cluster: bool = Field(False, description="REDIS_ADDR is a node of a Redis Cluster")
    key_prefix: str = Field(
        "",
        description="text before every key, also before the keys that Spring reads; a hash tag such as"
        " {pomocore}: puts all keys into one slot of a cluster",
    )
    redis_protocol: int = Field(3, ge=2, le=3, description="version of the Redis protocol (RESP)")
    data_dir: Path = Field(Path(".data"), description="where the embedded stores keep their files")

    # The stream
    stream_key: str = Field("pomodoro_pattern_match_stream", min_length=1, description="stream that is read")
    stream_partitions: int = Field(
        1,
        ge=1,
        le=1024,
        description="number of streams; more than 1: STREAM_KEY:0, STREAM_KEY:1, …, chosen by the CRC-32 of"
        " the user id",
    )
    stream_group: str = Field("pomodoro_pattern_match_group", min_length=1, description="consumer group")
    stream_consumer: str = Field(
        "pomodoro_pattern_match_consumer", min_length=1, description="consumer name; INSTANCE_ID is appended to it"
    )
    instance_id: str = Field(
        default_factory=lambda: f"{HOST_NAME}-{os.getpid()}",
        min_length=1,
        description="suffix of the consumer name, unique to the instance; not set: host name and process id",
    )
    batch_size: int = Field(
        50,
        ge=1,
        le=10_000,
        description="how many messages a read asks for when there is little to do",
        json_schema_extra=_unit("messages"),
    )
    batch_max: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="how many messages a read asks for when there is a backlog",
        json_schema_extra=_unit("messages"),
    )
    block_ms: int = Field(
        2000,
        ge=1,
        le=60_000,
        description="how long a read waits for the first message",
        json_schema_extra=_unit("ms"),
    )
    worker_pool_size: int = Field(
        10, ge=1, le=1000, description="how many batches are processed at once, and how many requests to the LLM"
    )
    consumer_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="number of consumers on this machine; more than one run as supervised child processes",
    )
    max_inflight_messages: int = Field(
        10_000,
        ge=1,
        description="reading stops when this many messages are read and not yet committed",
        json_schema_extra=_unit("messages"),
    )
    max_inflight_bytes: int = Field(
        67_108_864,
        ge=1024,
        description="reading stops when the messages that are read and not yet committed have this size",
        json_schema_extra=_unit("bytes"),
    )
    max_message_bytes: int = Field(
        262_144, ge=1024, description="a longer entry becomes a dead letter", json_schema_extra=_unit("bytes")
    )
    max_duration: float = Field(
        86_400.0,
        gt=0,
        le=31_622_400,
        description="a message with a longer duration becomes a dead letter",
        json_schema_extra=_unit("s"),
    )
    earliest_date: date = Field(
        date(2010, 1, 1),
        ge=date(1970, 1, 2),
        description="a message whose timestamp lies before this day (UTC) becomes a dead letter",
    )
    max_days_ahead: int = Field(
        365,
        ge=0,
        le=36_500,
        description="a message whose timestamp lies further in the future becomes a dead letter",
        json_schema_extra=_unit("days"),
    )
    max_deliveries: int = Field(
        5, ge=1, description="how often a message that fails by itself is tried before it becomes a dead letter"
    )
    claim_idle_ms: int = Field(
        30_000,
        ge=100,
        description="a message that an instance has held for longer is taken over by another one",
        json_schema_extra=_unit("ms"),
    )
    consumer_gone_ms: int = Field(
        600_000,
        ge=1000,
        description="a consumer that holds no messages and has been silent for longer is removed from the group",
        json_schema_extra=_unit("ms"),
    )
    stream_ignored_groups: str = Field(
        "leaderboard_group",
        description="consumer groups, separated by commas, that hold back no trimming; the server makes one at each "
        "start with which it never reads",
    )
    stream_trim: bool = Field(
        True, description="remove entries from the stream that every group has read and acknowledged"
    )
    http_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="port of the console, /healthz, /readyz and /metrics; not set: 8080 if it is free; 0: none. With "
        "several CONSUMER_PROCESSES, the first one takes this port and the others those that follow",
    )
    http_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address on which HTTP_PORT listens; 0.0.0.0: all of IPv4; ::: all of IPv4 and of IPv6",
    )
    http_allowed_hosts: str = Field(
        "",
        description="names of the site, separated by commas, beside localhost and HTTP_HOST; a request for another"
        " name is refused; *: any name. Where HTTP_HOST is 0.0.0.0 or ::, an address in place of a name is accepted",
    )
    http_trusted_proxies: str = Field(
        "",
        description="addresses and networks of reverse proxies, separated by commas; what they say in X-Forwarded-For"
        " is believed",
    )
    admin_token: SecretStr | None = Field(
        None,
        min_length=_TOKEN_CHARACTERS,
        description="token for changes in the console and for seeing titles and URLs there; not set: neither"
        " is possible",
    )
    admin_tokens: SecretStr | None = Field(
        None,
        description="further tokens, each with the name of its owner for the audit: name:token, separated by commas",
    )
    runbook_url: AnyHttpUrl | None = Field(
        None, description="where deploy/runbook.md is shown to people, for links to it; not set: its path is named"
    )
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = Field(
        None, description="collector to which a trace of each batch is sent by OTLP over HTTP; not set: no traces"
    )
    collect_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="port of the collector, which takes spans by POST /collect; not set: 8090 if it is free, for"
        " cmd.collector and for a consumer without REDIS_ADDR and MONGO_URI; 0: none beside the consumer",
    )
    collect_host: str = Field("127.0.0.1", min_length=1, description="address on which COLLECT_PORT listens")
    collect_dir: Path | None = Field(None, description="where the collector keeps its log; not set: in DATA_DIR")
    collect_durability: Literal["disk", "redis"] = Field(
        "disk",
        description="what 202 promises: disk: the post is synced to COLLECT_DIR; redis: the activity stream has it,"
        " for a collector whose disk does not outlive it",
    )
    collect_token_key: SecretStr | None = Field(
        None,
        min_length=_TOKEN_CHARACTERS,
        description="key of the clients' tokens, which cmd.collector token makes; several, separated by commas, while"
        " it is changed: the first one signs; not set: posts are taken from this machine alone",
    )
    collect_allowed_origins: str = Field(
        "", description="origins, separated by commas, from which browsers may post, chrome-extension://… among them"
    )
    collect_rate: float = Field(
        200.0,
        ge=0,
        description="how many posts a user with a token may send; 0: any number",
        json_schema_extra=_unit("posts/s"),
    )
    collect_max_body: int = Field(
        1_048_576, ge=1024, le=67_108_864, description="a longer body is refused", json_schema_extra=_unit("bytes")
    )
    collect_max_event: int = Field(
        16_384, ge=256, description="a body with a longer event is refused", json_schema_extra=_unit("bytes")
    )
    collect_max_waiting: int = Field(
        5000, ge=1, description="how many posts may wait for the disk; beyond, they are refused"
    )
    collect_max_waiting_bytes: int = Field(
        33_554_432,
        ge=1024,
        description="how large they and those that are still coming may be together",
        json_schema_extra=_unit("bytes"),
    )
    collect_batch_bytes: int = Field(
        8_388_608,
        ge=1024,
        le=268_435_456,
        description="a segment of the log goes to the archive when it has this size",
        json_schema_extra=_unit("bytes"),
    )
    collect_flush_seconds: float = Field(60.0, gt=0, description="or is this old", json_schema_extra=_unit("s"))
    archive_url: str | None = Field(
        None,
        description="where collected posts are kept: s3://bucket/prefix or file:///path; not set: in DATA_DIR, or"
        " nowhere where APP_ENV is prod",
    )
    archive_s3_endpoint: AnyHttpUrl | None = Field(
        None,
        description="address of an S3 server other than Amazon's; keys and region come from AWS_ACCESS_KEY_ID,"
        " AWS_SECRET_ACCESS_KEY and AWS_REGION",
    )
    spark_master: str = Field(
        "local[*]",
        min_length=1,
        description="cluster of cmd.replay --engine spark: local[*], spark://host:port, yarn, …",
    )
    archive_spool_ttl_days: float = Field(
        30.0,
        gt=0,
        description="segments that have waited for the archive for longer are given up, if the stream has them",
        json_schema_extra=_unit("days"),
    )
    archive_spool_max_bytes: int = Field(
        10_737_418_240,
        ge=65_536,
        description="when so much waits for the stream and the archive, posts are refused",
        json_schema_extra=_unit("bytes"),
    )
    stream_max_backlog: int = Field(
        1_000_000,
        ge=1,
        description="a longer stream is reported in the log, in cmd.status and by an alert",
        json_schema_extra=_unit("entries"),
    )
    dead_letters_max: int = Field(
        100_000,
        ge=1,
        description="greatest length of the dead-letter stream; beyond it, the oldest dead letters are dropped",
        json_schema_extra=_unit("entries"),
    )
    counters_retention_days: float = Field(
        35.0,
        ge=1,
        le=3660,
        description="how long it is kept what was done in each hour, by tier and category",
        json_schema_extra=_unit("days"),
    )
    dead_letters_retention_days: float = Field(
        90.0,
        ge=0,
        le=36_600,
        description="dead letters that are older are dropped by the task apply_retention; 0: never",
        json_schema_extra=_unit("days"),
    )
    proposals_retention_days: float = Field(
        365.0,
        ge=0,
        le=36_600,
        description="proposals that were decided on longer ago are deleted, and may be made again; 0: never",
        json_schema_extra=_unit("days"),
    )
    usage_logs_retention_days: float = Field(
        0.0,
        ge=0,
        le=36_600,
        description="usage logs that are older, and not Spring's, are deleted with windows that nobody had since; at"
        " least 62, since the boards of a month are recomputed from them; 0: never",
        json_schema_extra=_unit("days"),
    )
    announce_delay_ms: int = Field(
        1000,
        ge=0,
        le=600_000,
        description="how old the end of a session must be before Spring is told that the session is classified; "
        "by then, Spring must have committed the transaction in which it sent the messages",
        json_schema_extra=_unit("ms"),
    )
    announce_patience: float = Field(
        120.0,
        ge=0,
        description="how long an ended session waits for the category of each of its usage logs; then Spring is told "
        "all the same",
        json_schema_extra=_unit("s"),
    )
    deduplication_days: int = Field(
        3,
        ge=0,
        le=400,
        description="how long it is remembered which usage logs were counted, so that a message that Spring sends "
        "again does not count again; 0: not at all",
        json_schema_extra=_unit("days"),
    )
    shutdown_timeout: float = Field(
        10.0, ge=0, description="how long a stop waits for the messages in flight", json_schema_extra=_unit("s")
    )

    # Classification
    seed_default_patterns: bool = Field(
        False,
        description="give a document store that has no patterns the default ones",
    )
    pattern_refresh_seconds: float = Field(
        30.0,
        gt=0,
        description="interval at which the category patterns are reloaded; SIGHUP reloads them at once",
        json_schema_extra=_unit("s"),
    )
    work_categories: str = Field(
        ", ".join(sorted(WORK_CATEGORIES)),
        description="the categories that also count on the overall board, separated by commas",
    )
    archived_boards: Literal["raise", "keep"] = Field(
        "raise",
        description="what late messages do to boards of periods that the server has archived: raise them, so that it "
        "archives a second row, or keep the seconds for replay",
    )
    pattern_file: Path | None = Field(
        None,
        description="names of sites in titles, what is provisional, and further patterns, which the collection cannot"
        " hold and to which they are added; not set: those that come along",
    )
    unknown_pages_count_as: str = Field(
        UNCATEGORIZED,
        description="category of a page of which nobody knows more than that it is one; Browsing counts as work",
    )
    openai_api_key: SecretStr | None = Field(None, description="key of the LLM; not set: no LLM is asked")
    openai_base_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://api.openai.com/v1"), description="address of a server that speaks the OpenAI API"
    )
    openai_proxy: AnyHttpUrl | None = Field(
        None, description="HTTP proxy for OPENAI_BASE_URL, whatever the environment names for others; not set: none"
    )
    openai_tls_ca: Path | None = Field(
        None, description="file of CA certificates for OPENAI_BASE_URL; not set: those of the system"
    )
    openai_model: str = Field("gpt-4o-mini", min_length=1, description="name of the model that is asked")
    openai_temperature: float | None = Field(
        0.0,
        ge=0,
        le=2,
        description="temperature of the answers; none: not sent, for models that refuse the parameter",
    )
    openai_timeout: float = Field(
        10.0, gt=0, description="how long one request may take", json_schema_extra=_unit("s")
    )
    openai_max_retries: int = Field(2, ge=0, le=10, description="how often a request is repeated, with backoff")
    llm_batch_size: int = Field(
        1,
        ge=1,
        le=100,
        description="greatest number of windows in one request, all of one user; above 1 fewer requests are sent, but"
        " a title that the LLM obeys can decide the other windows, whose answers are remembered for all users",
    )
    llm_linger_ms: int = Field(
        50,
        ge=0,
        le=10_000,
        description="how long a request that is not full (LLM_BATCH_SIZE) waits for more windows; twenty times as"
        " long while other requests are under way",
        json_schema_extra=_unit("ms"),
    )
    llm_wait: float = Field(
        10.0,
        gt=0,
        description="how long a message waits for the LLM; after that it is committed with an interim"
        " category and reclassified later",
        json_schema_extra=_unit("s"),
    )
    llm_max_waiting: int = Field(
        2000,
        ge=1,
        description="greatest number of windows that wait for the LLM; messages of others are reclassified later",
    )
    llm_longest_pause: float = Field(
        300.0,
        gt=0,
        description="longest pause after repeated failures of the LLM, unless it asks for a longer one; the"
        " first pause takes"
        " 2 s",
        json_schema_extra=_unit("s"),
    )
    llm_max_calls_per_minute: int = Field(
        600, ge=0, description="greatest number of requests a minute of all instances together; 0: no limit"
    )
    llm_daily_token_budget: int = Field(
        5_000_000, ge=0, description="greatest number of tokens a day (UTC) of all instances together; 0: no limit"
    )
    llm_user_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="greatest share of LLM_DAILY_TOKEN_BUDGET that one user's windows may cost; beyond it the windows"
        " of that user get what can be said without the LLM",
    )
    llm_reasoning_tokens: int = Field(
        0,
        ge=0,
        le=100_000,
        description="tokens that a reasoning model may spend on a request before it answers; they count as spent"
        " until it has answered",
        json_schema_extra=_unit("tokens"),
    )
    reclassify_seconds: float = Field(
        5.0,
        gt=0,
        description="interval at which the LLM is asked again about deferred messages",
        json_schema_extra=_unit("s"),
    )
    deferred_max: int = Field(
        100_000,
        ge=1,
        description="greatest number of deferred messages; beyond it, the oldest keep their interim category",
        json_schema_extra=_unit("entries"),
    )
    classification_tiers: str = Field(
        ",".join(OPTIONAL_TIERS),
        description="optional tiers, separated by commas; a tier that is left out is switched off",
    )
    classification_memory_max: int = Field(
        20_000,
        ge=1,
        description="greatest number of the LLM's answers that a process remembers",
        json_schema_extra=_unit("answers"),
    )
    llm_send_titles: bool = Field(
        True, description="send window titles to the LLM; false: only apps and sites are sent"
    )
    private_hosts: str = Field(
        "",
        description="hosts (with all hosts below them), addresses and networks (10.0.0.0/8), separated by"
        " commas, that are never sent to the LLM and from which no patterns are learnt; localhost, *.local,"
        " *.internal and the like, and all addresses that are not public, are private anyway",
    )
    private_apps: str = Field(
        "",
        description="names of apps, separated by commas, that are never sent to the LLM and from which no"
        " patterns are"
        " learnt; password managers are private anyway",
    )
    llm_cost_per_million_tokens: float = Field(
        0.0, ge=0, description="price of a million tokens, in any currency, for the metric of the LLM's cost"
    )
    classification_cache_ttl: int = Field(
        int(timedelta(days=30).total_seconds()),
        ge=1,
        description="how long an answer of the LLM is remembered in Redis",
        json_schema_extra=_unit("s"),
    )
    classification_cache_negative_ttl: int = Field(
        int(timedelta(days=1).total_seconds()),
        ge=1,
        description="how long it is remembered in Redis that the LLM had no answer",
        json_schema_extra=_unit("s"),
    )
    classification_cache_max: int = Field(
        100_000,
        ge=1,
        description="greatest number of the LLM's answers that are remembered in Redis",
        json_schema_extra=_unit("answers"),
    )

    # Tasks that Spring asks for
    commands: bool = Field(True, description="run tasks from COMMANDS_KEY, and the schedule")
    commands_key: str = Field("pomocore:commands", min_length=1, description="Redis list from which tasks are taken")
    status_channel: str = Field(
        "pomocore:status", min_length=1, description="Redis channel on which the status of tasks is published"
    )

    # Focus cards
    cards: bool = Field(True, description="also do the jobs of the focus cards in the pipeline's processes")
    max_workers_boards: int = Field(
        3, ge=1, description="jobs of the first stage (who gets a card) that a process does at once"
    )
    max_workers_cards: int = Field(
        3, ge=1, description="jobs of the second stage (the cards of 200 users) that a process does at once"
    )
    focus_goal_minutes: int = Field(
        25, ge=1, le=1440, description="work on a day that lets its streak go on", json_schema_extra=_unit("min")
    )

    card_webhooks: SecretStr | None = Field(
        None,
        description="webhooks of Slack and Teams, separated by commas, that get the week's best card on Monday;"
        " slack=URL or teams=URL where the host does not say which; not set: none",
    )
    card_webhooks_lang: Literal["ko", "en"] = Field("en", description="language of what CARD_WEBHOOKS get")

    # Events (cmd.export)
    events: bool = Field(
        False, description="commits also post what they count, for Kafka, DuckDB and what reads them (cmd.export)"
    )
    events_max: int = Field(
        1_000_000,
        ge=1,
        description="how many events may wait for the exporter in Redis; further ones are counted as a gap",
        json_schema_extra=_unit("events"),
    )
    events_user_key: SecretStr | None = Field(
        None,
        description="key of the HMAC that stands for a user in events; not set: one that is made in DATA_DIR (needed"
        " with EVENTS where APP_ENV is prod)",
    )
    kafka_bootstrap_servers: str = Field(
        "",
        description="host:port of Kafka brokers, separated by commas, that take the events; not set: DuckDB in"
        " DATA_DIR",
    )

    kafka_username: str | None = Field(None, description="user of Kafka (SASL); not set: Kafka asks for none")
    kafka_password: SecretStr | None = Field(None, description="password of KAFKA_USERNAME")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how KAFKA_USERNAME and KAFKA_PASSWORD are sent; PLAIN wants KAFKA_TLS"
    )
    kafka_tls: bool = Field(False, description="connect to Kafka by TLS")
    kafka_tls_ca: Path | None = Field(
        None, description="file of CA certificates for KAFKA_TLS; not set: those of the system"
    )

    # Learning (cmd.patterns)
    pattern_min_evidence: int = Field(
        20,
        ge=1,
        description="how often the LLM must have given a host or an app the same category before a pattern is"
        " proposed",
        json_schema_extra=_unit("answers"),
    )
    pattern_min_share: float = Field(
        0.95, gt=0.5, le=1, description="share of the answers for that host or app that must name this category"
    )
    pattern_auto_accept: bool = Field(
        False, description="accept proposals as soon as `cmd.patterns propose` makes them"
    )

    model_file: Path | None = Field(
        None,
        description="file of the local classifier, written by python -m cmd.train; not set: model.npz in"
        " DATA_DIR if it exists",
    )
    model_min_precision: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="share of the local classifier's answers that must be right; python -m cmd.train sets its"
        " threshold accordingly",
    )

    # Site profiles
    site_profiles: bool = Field(
        False,
        description="look at the front pages of sites that no rule knows and that several users have in front, and"
        " learn their categories; needs the packages of the extra sites",
    )
    site_min_users: int = Field(
        3, ge=1, description="how many users must have had a site in front before it is visited"
    )
    site_contact: str = Field(
        "",
        max_length=200,
        pattern=r"^[\x21-\x27\x2a-\x7e]*$",
        description="where the owner of a site finds or reaches you, such as https://example.com/bot or"
        " mailto:me@example.com; it is part of the user agent",
    )
    site_min_confidence: float = Field(
        0.4, gt=0, lt=1, description="confidence below which nothing is concluded of a site's page"
    )
    site_visit_days: float = Field(
        30.0, ge=1, description="time between two visits to a site", json_schema_extra=_unit("days")
    )
    site_requests_per_second: float = Field(
        1.0, gt=0, le=100, description="greatest number of requests to sites a second, of all instances together"
    )
    site_workers: bool = Field(
        True,
        description="visit sites in this process; false: only where pomocore sites work runs, such as on a machine"
        " that reaches nothing else",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _trimmed(cls, value: object, info: ValidationInfo) -> object:
        """Files of secrets end in a line break, and `NAME=` in a compose file or `.env` means the default."""
        if not isinstance(value, str) or info.field_name is None:
            return value
        value = value.strip()
        if not value:
            return cls.model_fields[info.field_name].get_default(call_default_factory=True, validated_data={})
        # a list may go over several lines, and each of its names is trimmed
        if info.field_name not in _LISTS and any(unicodedata.category(each) in _NOT_IN_VALUES for each in value):
            raise ValueError("holds a line break or another character that does not show")
        return value

    @field_validator("mongo_uri", "redis_addr")
    @classmethod
    def _production_has_stores(cls, value: object, info: ValidationInfo) -> object:
        instead = {"redis_addr": "redis_sentinels", "mongo_uri": "database_url"}[info.field_name or ""]
        elsewhere = info.data.get(instead)
        if value is None and info.data.get("app_env") == "prod" and not elsewhere:
            raise ValueError("must be set where APP_ENV is prod")
        if value is not None and elsewhere and instead == "redis_sentinels":
            raise ValueError("must not be set beside REDIS_SENTINELS")
        return value

    @field_validator("redis_addr")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or value.startswith("unix:///"):
            return value
        if not _is_host_and_port(value):
            raise ValueError("must be host:port or unix:///path")
        return value

    @field_validator("card_webhooks")
    @classmethod
    def _are_webhooks(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from infrastructure.cards.webhooks import webhooks_of

            webhooks_of(value.get_secret_value())
        return value

    @field_validator("admin_tokens")
    @classmethod
    def _are_tokens(cls, value: SecretStr | None) -> SecretStr | None:
        for each in names_of(value.get_secret_value()) if value else ():
            name, _, token = each.partition(":")
            if not name or len(token) < _TOKEN_CHARACTERS:
                raise ValueError(f"not name:token with at least {_TOKEN_CHARACTERS} characters of token")
        return value

    @field_validator("archive_url")
    @classmethod
    def _is_archive(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"s3://[^/]|file:///", value):
            raise ValueError("must begin with s3:// and the name of a bucket, or with file:///")
        return value

    @field_validator("unknown_pages_count_as")
    @classmethod
    def _is_category(cls, value: str) -> str:
        if value not in PATTERN_CATEGORIES:
            raise ValueError(f"must be one of {', '.join(sorted(PATTERN_CATEGORIES))}")
        return value

    @field_validator("events_user_key")
    @classmethod
    def _has_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("events") and info.data.get("app_env") == "prod":
            raise ValueError("must be set with EVENTS where APP_ENV is prod")
        if value is not None and len(value.get_secret_value()) < _KEY_CHARACTERS:
            raise ValueError(f"must have at least {_KEY_CHARACTERS} characters")
        return value

    @field_validator("redis_sentinels", "kafka_bootstrap_servers")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        if wrong := [each for each in names_of(value) if not _is_host_and_port(each)]:
            raise ValueError(f"{wrong[0]}: must be host:port")
        return value

    @field_validator("redis_cluster")
    @classmethod
    def _has_no_sentinels(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("redis_sentinels"):
            raise ValueError("a cluster has no sentinels: unset REDIS_SENTINELS")
        return value

    @field_validator("redis_tls_key")
    @classmethod
    def _is_key_of_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("redis_tls_cert")
        if certificate is None:
            if value is not None:
                raise ValueError("needs REDIS_TLS_CERT")
        elif not info.data.get("redis_tls"):
            raise ValueError("REDIS_TLS_CERT needs REDIS_TLS")
        else:
            try:
                ssl.create_default_context().load_cert_chain(certificate, value, password=_refuse_passphrase)
            except (OSError, ValueError) as error:
                raise ValueError(f"cannot be used with REDIS_TLS_CERT: {error}") from None
        return value

    @field_validator("redis_tls_ca", "redis_tls_cert", "openai_tls_ca", "kafka_tls_ca", "pattern_file")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError("not a readable file")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("mongo_uri")
    @classmethod
    def _is_mongo_uri(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        return value

    @field_validator("classification_tiers")
    @classmethod
    def _are_tiers(cls, value: str) -> str:
        if unknown := {name.strip() for name in value.split(",")} - {*OPTIONAL_TIERS, "", "none"}:
            raise ValueError(f"{', '.join(sorted(unknown))}: not among {', '.join(OPTIONAL_TIERS)} (or none)")
        return value

    @field_validator("usage_logs_retention_days")
    @classmethod
    def _is_longer_than_boards(cls, value: float) -> float:
        if 0 < value < _LEAST_LOG_DAYS:
            raise ValueError(f"must be 0, or at least {_LEAST_LOG_DAYS}")
        return value

    @field_validator(*(task.schedule_setting for task in _SCHEDULED))
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if value not in ("", _NEVER):
            from apscheduler.triggers.cron import CronTrigger  # only where there is a schedule

            if any(character.isdecimal() for character in value.split()[-1]):
                raise ValueError(
                    "days of the week have to be named (mon): as numbers they would mean other days than in cron"
                )
            try:
                CronTrigger.from_crontab(value)
            except ValueError as error:
                raise ValueError(f"must be a cron expression such as 0 4 * * *: {error}") from None
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be an IANA zone such as Asia/Seoul") from None
        return value

    @field_validator("openai_temperature", mode="before")
    @classmethod
    def _none_is_none(cls, value: object) -> object:
        return None if value == "none" else value

    @field_validator("http_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for name in names_of(value):
            ip_network(name, strict=False)
        return value

    @field_validator("private_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        Privacy(hosts=names_of(value))
        return value

    @field_validator("private_apps")
    @classmethod
    def _are_apps(cls, value: str) -> str:
        Privacy(apps=names_of(value))
        return value

    @property
    def schedule(self) -> dict[str, str]:
        """The scheduled tasks, {task: cron expression}."""
        return {
            task.name: cron
            for task in _SCHEDULED
            if (cron := getattr(self, task.schedule_setting)) not in ("", _NEVER)
            and (self.site_profiles or task.name not in _OF_SITES)
        }

    @property
    def embeds_redis(self) -> bool:
        """Whether there is no Redis but the private one in DATA_DIR."""
        return self.redis_addr is None and not self.redis_sentinels

    @property
    def embeds_store(self) -> bool:
        """Whether there is no document store but SQLite in DATA_DIR."""
        return self.mongo_uri is None and self.database_url is None

    @property
    def silence_allowed(self) -> float:
        """Seconds after which an instance that has not asked for work is taken for dead."""
        return 3 * max(self.claim_idle_ms, self.block_ms) / 1000

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def tiers(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.classification_tiers.split(","))

    @property
    def asks_llm(self) -> bool:
        return self.openai_api_key is not None and "llm" in self.tiers

    @property
    def model_path(self) -> Path:
        return self.model_file or self.data_dir / "model.npz"

    @property
    def analytics_path(self) -> Path:
        return self.data_dir / "analytics.duckdb"

    @property
    def consumer_name(self) -> str:
        return f"{self.stream_consumer}-{self.instance_id}"


def load_settings(**overrides: Any) -> Settings:
    """Loads the settings. Raises SettingsError, which names all wrong settings and shows no secret.

    In a checkout, `.env` and a relative DATA_DIR are those of its root, from whatever directory a command is run.
    """
    root = Path(__file__).parents[2]
    try:
        if Path.cwd() == root or not (root / "Makefile").is_file():
            return Settings(**overrides)
        settings = Settings(_env_file=(root / ".env", ".env"), **overrides)
        return settings.model_copy(update={"data_dir": root / settings.data_dir})
    except UnicodeDecodeError as error:
        raise SettingsError(f".env is not UTF-8: {error}") from None
    except ValidationError as error:
        lines = [_offence(detail["loc"], detail["msg"], detail["input"]) for detail in error.errors()]
        raise SettingsError("\n".join(lines)) from None


class SettingDescription(NamedTuple):
    name: str
    default: str
    unit: str
    description: str


def as_given(value: object) -> str:
    """A setting's value as one writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_settings() -> list[SettingDescription]:
    """All settings for `--help`, in the order of their definition; the schedule's come last."""
    fields = sorted(Settings.model_fields.items(), key=lambda item: item[0] in ScheduleSettings.model_fields)
    return [
        SettingDescription(
            name.upper(),
            "" if field.default is None or field.default_factory else as_given(field.default),
            str((field.json_schema_extra or {}).get("unit", "")) if not callable(field.json_schema_extra) else "",
            field.description or "",
        )
        for name, field in fields
    ]


def is_secret(name: str) -> bool:
    """Whether the value of that field must not be shown."""
    return name in Settings.model_fields and "Secret" in str(Settings.model_fields[name].annotation)


def _offence(loc: tuple[int | str, ...], message: str, value: object) -> str:
    if not loc:
        return message.removeprefix("Value error, ")
    name = str(loc[0])
    shown = "" if is_secret(name) or value is None or "@" in str(value) else f" (is {value!r:.80})"
    return f"{name.upper()}: {message.removeprefix('Value error, ')}{shown}"
