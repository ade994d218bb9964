"""All settings: from the environment, then from `.env`, then the defaults here."""

import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domains.patternClassifier.model import Tier
from domains.patternClassifier.privacy import Privacy

HOST_NAME = socket.gethostname()

_SCHEDULED = "when to run {}: minute hour day month weekday (mon to sun) in TIMEZONE; not set: never"

OPTIONAL_TIERS = (Tier.MEMORY, Tier.CACHE, Tier.DOCUMENTS, Tier.MODEL, Tier.LLM)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536


class SettingsError(Exception):
    """The settings are wrong; the text names every offender and is meant for a person."""


def _unit(unit: str) -> dict[str, Any]:
    return {"unit": unit}


def names_of(value: str) -> list[str]:
    """The names in a setting that separates them by commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


class Settings(BaseSettings):
    """Descriptions are what `--help` shows, so they are written for operators."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    app_env: Literal["dev", "prod"] = Field(
        "dev", description="prod: JSON logs, and no start without MONGO_URI and REDIS_ADDR"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    timezone: str = Field("Asia/Seoul", description="the server's zone: periods and sessionDate are local to it")

    # Stores
    mongo_uri: SecretStr | None = Field(None, description="MongoDB; not set: SQLite in DATA_DIR")
    mongo_database: str = Field("pomocore", pattern=r'^[^/\\. "$*<>:|?\x00]{1,63}$', description="database name")
    mongo_driver: Literal["motor", "pymongo"] = Field("motor", description="which asynchronous driver to use")
    mongo_create_indexes: bool = Field(
        True, description="create the (not unique) index on (app, url, title) that look-ups need"
    )
    redis_addr: str | None = Field(
        None, description="host:port or unix:///path; not set: a private redis-server in DATA_DIR"
    )
    redis_username: str | None = Field(None, description="ACL user, where it is not the default user")
    redis_password: SecretStr | None = Field(None, description="password, where Redis wants one")
    redis_db: int = Field(0, ge=0, description="number of the database")
    redis_tls: bool = Field(False, description="connect by TLS")
    redis_tls_ca: Path | None = Field(None, description="CA bundle for TLS; not set: the system's")
    redis_cluster: bool = Field(False, description="REDIS_ADDR is a node of a Redis Cluster")
    key_prefix: str = Field(
        "",
        description="before every key, also Spring's; with a hash tag such as {pomocore}: all in one slot",
    )
    redis_protocol: int = Field(3, ge=2, le=3, description="RESP version")
    data_dir: Path = Field(Path(".data"), description="where the embedded stores keep their files")

    # The stream
    stream_key: str = Field("pomodoro_pattern_match_stream", min_length=1, description="stream to read")
    stream_partitions: int = Field(
        1,
        ge=1,
        le=1024,
        description="more than 1: the streams STREAM_KEY:0, STREAM_KEY:1, …, a user's by CRC-32 of the user id",
    )
    stream_group: str = Field("pomodoro_pattern_match_group", min_length=1, description="consumer group")
    stream_consumer: str = Field(
        "pomodoro_pattern_match_consumer", min_length=1, description="consumer name, without INSTANCE_ID"
    )
    instance_id: str = Field(
        default_factory=lambda: f"{HOST_NAME}-{os.getpid()}",
        min_length=1,
        description="suffix of the consumer name, unique to the instance; default: host name and process id",
    )
    batch_size: int = Field(
        50,
        ge=1,
        le=10_000,
        description="a read's size when there is little to do",
        json_schema_extra=_unit("messages"),
    )
    batch_max: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="a read's size when there is a backlog",
        json_schema_extra=_unit("messages"),
    )
    block_ms: int = Field(
        2000,
        ge=1,
        le=60_000,
        description="how long a read waits for the first message",
        json_schema_extra=_unit("ms"),
    )
    worker_pool_size: int = Field(10, ge=1, le=1000, description="batches, and LLM requests, under way at once")
    consumer_processes: int = Field(
        1, ge=1, le=64, description="consumers on this machine; more than one run as supervised children"
    )
    max_inflight_messages: int = Field(
        10_000,
        ge=1,
        description="messages read and not yet committed; then reading stops",
        json_schema_extra=_unit("messages"),
    )
    max_inflight_bytes: int = Field(
        67_108_864, ge=1024, description="the same in bytes", json_schema_extra=_unit("bytes")
    )
    max_message_bytes: int = Field(
        1_048_576, ge=1024, description="longer entries are dead letters", json_schema_extra=_unit("bytes")
    )
    max_deliveries: int = Field(
        5, ge=1, description="tries of a message that fails alone, before it is a dead letter"
    )
    claim_idle_ms: int = Field(
        30_000,
        ge=100,
        description="pending longer: taken over from whoever holds it",
        json_schema_extra=_unit("ms"),
    )
    consumer_gone_ms: int = Field(
        600_000,
        ge=1000,
        description="a consumer that holds nothing and was silent for longer is removed from the group",
        json_schema_extra=_unit("ms"),
    )
    stream_trim: bool = Field(
        True, description="drop from the stream what every group has been given and has acknowledged"
    )
    http_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="the console, /healthz, /readyz and /metrics; not set: 8080 if it is free; 0: none. Of "
        "several CONSUMER_PROCESSES, the first is at this port, the others at those that follow",
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="address on which HTTP_PORT listens")
    admin_token: SecretStr | None = Field(
        None,
        min_length=12,
        description="what the console wants for changes, and to show titles and URLs; not set: it does neither",
    )
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = Field(
        None, description="collector that gets a trace of each batch, by OTLP over HTTP; not set: no traces"
    )
    stream_max_backlog: int = Field(
        1_000_000, ge=1, description="a longer stream is warned of", json_schema_extra=_unit("entries")
    )
    dead_letters_max: int = Field(
        100_000,
        ge=1,
        description="length of the dead-letter stream; the oldest go first",
        json_schema_extra=_unit("entries"),
    )
    shutdown_timeout: float = Field(
        10.0, ge=0, description="time to finish what is in flight at a stop", json_schema_extra=_unit("s")
    )

    # Classification
    pattern_refresh_seconds: float = Field(
        30.0,
        gt=0,
        description="how often the category patterns are read anew; SIGHUP does it at once",
        json_schema_extra=_unit("s"),
    )
    openai_api_key: SecretStr | None = Field(None, description="not set: no LLM, rules alone")
    openai_base_url: str | None = Field(None, description="any server that speaks the OpenAI API")
    openai_model: str = Field("gpt-4o-mini", min_length=1, description="model that is asked")
    openai_temperature: float | None = Field(
        0.0, ge=0, le=2, description="how much answers vary; none: not sent, for models that refuse it"
    )
    openai_timeout: float = Field(10.0, gt=0, description="for one request", json_schema_extra=_unit("s"))
    openai_max_retries: int = Field(2, ge=0, le=10, description="of one request, with backoff")
    llm_batch_size: int = Field(20, ge=1, le=100, description="windows in one request, at most")
    llm_linger_ms: int = Field(
        50,
        ge=0,
        le=10_000,
        description="a request that is not full waits for more, while others are under way twenty times as long",
        json_schema_extra=_unit("ms"),
    )
    llm_wait: float = Field(
        10.0,
        gt=0,
        description="an answer that takes longer is not waited for: the message is reclassified later",
        json_schema_extra=_unit("s"),
    )
    llm_max_waiting: int = Field(
        2000, ge=1, description="windows on their way to the LLM; more are reclassified later"
    )
    llm_longest_pause: float = Field(
        300.0,
        gt=0,
        description="the LLM is left alone for this long at most when it fails again and again, unless it names a"
        " longer time; at first for 2 s",
        json_schema_extra=_unit("s"),
    )
    llm_max_calls_per_minute: int = Field(600, ge=0, description="requests of all instances together; 0: no limit")
    llm_daily_token_budget: int = Field(
        5_000_000, ge=0, description="tokens of all instances in a day (UTC); 0: no limit"
    )
    reclassify_seconds: float = Field(
        5.0,
        gt=0,
        description="how often messages that the LLM did not answer in time are asked about again",
        json_schema_extra=_unit("s"),
    )
    deferred_max: int = Field(
        100_000,
        ge=1,
        description="such messages that are remembered; the oldest keep the category that they have",
        json_schema_extra=_unit("entries"),
    )
    classification_tiers: str = Field(
        ",".join(OPTIONAL_TIERS),
        description="tiers behind the rules, by commas; leave one out to switch it off",
    )
    classification_memory_max: int = Field(
        20_000, ge=1, description="answers remembered in the process", json_schema_extra=_unit("answers")
    )
    llm_send_titles: bool = Field(True, description="false: apps and sites alone are sent to the LLM")
    private_hosts: str = Field(
        "",
        description="hosts, with all below them, addresses and networks (10.0.0.0/8) that the LLM never gets to see,"
        " separated by commas, and from which no patterns are learnt; beside localhost, *.local, *.internal and the"
        " like, and all addresses that are not public",
    )
    private_apps: str = Field(
        "",
        description="the same for names of apps; beside password managers",
    )
    llm_cost_per_million_tokens: float = Field(
        0.0, ge=0, description="what the LLM's tokens cost, for the metric of its cost, in any currency"
    )
    classification_cache_ttl: int = Field(
        int(timedelta(days=30).total_seconds()),
        ge=1,
        description="how long an answer is remembered in Redis",
        json_schema_extra=_unit("s"),
    )
    classification_cache_negative_ttl: int = Field(
        int(timedelta(days=1).total_seconds()),
        ge=1,
        description="the same, where the LLM could not tell",
        json_schema_extra=_unit("s"),
    )
    classification_cache_max: int = Field(
        100_000, ge=1, description="answers remembered in Redis", json_schema_extra=_unit("answers")
    )

    # Commands from Spring, and the schedule
    commands: bool = Field(True, description="take commands from COMMANDS_KEY, and run the schedule")
    commands_key: str = Field("pomocore:commands", min_length=1, description="list of commands")
    status_channel: str = Field(
        "pomocore:status", min_length=1, description="channel on which is told what becomes of commands"
    )
    schedule_reload_patterns: str = Field("", description=_SCHEDULED.format("reload_patterns"))
    schedule_replay_dead_letters: str = Field("", description=_SCHEDULED.format("replay_dead_letters"))
    schedule_reclassify: str = Field("", description=_SCHEDULED.format("reclassify"))
    schedule_rebuild_leaderboard: str = Field("", description=_SCHEDULED.format("rebuild_leaderboard"))

    # Learning (cmd.patterns)
    pattern_min_evidence: int = Field(
        20,
        ge=1,
        description="as often the LLM must have given a host or an app the same category, to propose a pattern",
        json_schema_extra=_unit("answers"),
    )
    pattern_min_share: float = Field(
        0.95, gt=0.5, le=1, description="share that this category must have in the answers for it"
    )
    pattern_auto_accept: bool = Field(False, description="accept at once what `cmd.patterns propose` proposes")

    model_file: Path | None = Field(
        None, description="what python -m cmd.train made; not set: model.npz in DATA_DIR, where there is one"
    )
    model_min_precision: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="share of a model's answers that are to be right; python -m cmd.train sets its threshold by it",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: ValidationInfo) -> Any:
        """`NAME=` in a compose file or `.env` means the default."""
        if value != "" or info.field_name is None:
            return value
        return cls.model_fields[info.field_name].get_default(call_default_factory=True, validated_data={})

    @field_validator("mongo_uri", "redis_addr")
    @classmethod
    def _production_has_stores(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("app_env") == "prod":
            raise ValueError("must be set where APP_ENV is prod")
        return value

    @field_validator("redis_addr")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or value.startswith("unix:///"):
            return value
        host, _, port = value.rpartition(":")
        if not host or "/" in host or "@" in host or not _is_port(port):
            raise ValueError("must be host:port or unix:///path")
        return value

    @field_validator("redis_tls_ca")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError("no file that can be read")
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

    @field_validator(
        "schedule_reload_patterns",
        "schedule_replay_dead_letters",
        "schedule_reclassify",
        "schedule_rebuild_leaderboard",
    )
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if value:
            from apscheduler.triggers.cron import CronTrigger  # only where there is a schedule

            if any(character.isdecimal() for character in value.split()[-1]):
                raise ValueError("days of the week are to be named (mon): numbers mean other days than cron's here")
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
    def _none_is_none(cls, value: Any) -> Any:
        return None if value == "none" else value

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
        """{task: cron expression} of what is scheduled."""
        tasks = ("reload_patterns", "replay_dead_letters", "reclassify", "rebuild_leaderboard")
        return {task: cron for task in tasks if (cron := getattr(self, f"schedule_{task}"))}

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def tiers(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.classification_tiers.split(","))

    @property
    def model_path(self) -> Path:
        return self.model_file or self.data_dir / "model.npz"

    @property
    def consumer_name(self) -> str:
        return f"{self.stream_consumer}-{self.instance_id}"


def load_settings(**overrides: Any) -> Settings:
    """The settings, or SettingsError naming all that is wrong without showing a secret."""
    try:
        return Settings(**overrides)
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


def describe_settings() -> list[SettingDescription]:
    """All settings for `--help`, in the order in which they stand above."""
    return [
        SettingDescription(
            name.upper(),
            "" if field.default is None or field.default_factory else str(field.default),
            str((field.json_schema_extra or {}).get("unit", "")) if not callable(field.json_schema_extra) else "",
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _offence(loc: tuple[int | str, ...], message: str, value: Any) -> str:
    if not loc:
        return message.removeprefix("Value error, ")
    name = str(loc[0])
    secret = "Secret" in str(Settings.model_fields[name].annotation) if name in Settings.model_fields else False
    shown = "" if secret or value is None or "@" in str(value) else f" (is {value!r:.80})"
    return f"{name.upper()}: {message.removeprefix('Value error, ')}{shown}"
