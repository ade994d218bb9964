"""Settings from environment, `.env` and defaults, and what a person is told where they are wrong."""

from pathlib import Path

import pytest

from infrastructure.composition.from_settings import card_store_kind, store_kind
from infrastructure.mongo.client import make_client
from infrastructure.observing.logs import announce_stores, configure_logging
from infrastructure.settings import HOST_NAME, Settings, SettingsError, describe_settings, load_settings, names_of

SECRETS = {"MONGO_URI": "mongodb://user:s3cret-m@host/", "REDIS_PASSWORD": "s3cret-r", "OPENAI_API_KEY": "s3cret-o"}


def error_of(**environment: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SettingsError) as offence:
            load_settings()
    return str(offence.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_env", "dev"),
        ("stream_key", "pomodoro_pattern_match_stream"),
        ("stream_group", "pomodoro_pattern_match_group"),
        ("stream_consumer", "pomodoro_pattern_match_consumer"),
        ("timezone", "Asia/Seoul"),
        ("batch_size", 50),
        ("worker_pool_size", 10),
        ("block_ms", 2000),
        ("shutdown_timeout", 10.0),
        ("mongo_uri", None),
        ("redis_addr", None),
        ("redis_password", None),
        ("openai_api_key", None),
        ("mongo_driver", "motor"),
        ("data_dir", Path(".data")),
    ],
)
def test_documented_defaults(name: str, value: object) -> None:
    assert getattr(load_settings(), name) == value


def test_every_setting_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_KEY", "pattern_match_stream")
    monkeypatch.setenv("BATCH_SIZE", "7")
    monkeypatch.setenv("REDIS_TLS", "true")

    settings = load_settings()

    assert (settings.stream_key, settings.batch_size, settings.redis_tls) == ("pattern_match_stream", 7, True)


def test_dot_env_comes_behind_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("STREAM_KEY=from-file\nSTREAM_GROUP=그룹\nOTHERS_SETTING=1\n", encoding="utf-8")
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    monkeypatch.setenv("STREAM_KEY", "from-environment")

    settings = load_settings()

    assert (settings.stream_key, settings.stream_group) == ("from-environment", "그룹")


def test_a_dot_env_that_is_no_utf8_is_an_error_for_a_person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"STREAM_KEY=caf\xe9\n")
    monkeypatch.setitem(Settings.model_config, "env_file", file)

    with pytest.raises(SettingsError):
        load_settings()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_empty_means_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(load_settings(), name)
    monkeypatch.setenv(name.upper(), "")

    assert getattr(load_settings(), name) == default


@pytest.mark.parametrize("name", ["MONGO_DATABASE", "STREAM_KEY", "OPENAI_API_KEY", "REDIS_ADDR", "BATCH_SIZE"])
def test_blanks_around_a_value_are_no_part_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"REDIS_ADDR": "host:6379", "BATCH_SIZE": "7"}.get(name, "value")
    monkeypatch.setenv(name, value)
    plain = getattr(load_settings(), name.lower())
    monkeypatch.setenv(name, f" \t{value}\r\n")

    assert getattr(load_settings(), name.lower()) == plain


def test_a_list_may_go_over_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_HOSTS", "corp.example,\n  10.0.0.0/8\n")

    assert names_of(load_settings().private_hosts) == ["corp.example", "10.0.0.0/8"]


def test_the_llm_is_found_where_its_setting_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")

    assert str(load_settings().openai_base_url) == "https://api.openai.com/v1"


def test_the_consumer_name_is_unique_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    name = load_settings().consumer_name
    assert name.startswith(f"pomodoro_pattern_match_consumer-{HOST_NAME}-")

    monkeypatch.setattr("os.getpid", lambda: -1)
    assert load_settings().consumer_name != name

    monkeypatch.setenv("INSTANCE_ID", "blue")
    assert load_settings().consumer_name == "pomodoro_pattern_match_consumer-blue"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("APP_ENV", "production", "'dev' or 'prod'"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("TIMEZONE", "Seoul", "must be an IANA zone such as Asia/Seoul"),
        ("TIMEZONE", "Asia", "must be an IANA zone such as Asia/Seoul"),
        ("TIMEZONE", "../../etc/passwd", "must be an IANA zone such as Asia/Seoul"),
        ("MONGO_DRIVER", "pymysql", "'motor' or 'pymongo'"),
        ("ARCHIVE_URL", "s3://", "must begin with s3:// and the name of a bucket, or with file:///"),
        ("MONGO_URI", "host:27017", "must begin with mongodb:// or mongodb+srv://"),
        ("REDIS_ADDR", "localhost", "must be host:port or unix:///path"),
        ("REDIS_ADDR", ":6379", "must be host:port or unix:///path"),
        ("REDIS_ADDR", "host:0", "must be host:port or unix:///path"),
        ("REDIS_ADDR", "host:65536", "must be host:port or unix:///path"),
        ("REDIS_ADDR", "host:port", "must be host:port or unix:///path"),
        ("REDIS_ADDR", "redis://host:6379", "must be host:port or unix:///path"),
        ("REDIS_DB", "-1", "greater than or equal to 0"),
        ("REDIS_PROTOCOL", "4", "less than or equal to 3"),
        ("BATCH_SIZE", "0", "greater than or equal to 1"),
        ("BATCH_SIZE", "many", "a valid integer"),
        ("BLOCK_MS", "0", "greater than or equal to 1"),  # 0 would block for ever
        ("WORKER_POOL_SIZE", "0", "greater than or equal to 1"),
        ("SHUTDOWN_TIMEOUT", "-1", "greater than or equal to 0"),
        ("OPENAI_TIMEOUT", "0", "greater than 0"),
        ("OPENAI_TEMPERATURE", "2.5", "less than or equal to 2"),
        ("OPENAI_TEMPERATURE", "hot", "a valid number"),
        ("PRIVATE_HOSTS", "corp.example, not a host", "'not a host' is no host"),
        ("PRIVATE_APPS", "Slack, ---", "'---' is no name of an app"),
        ("REDIS_TLS", "perhaps", "a valid boolean"),
        ("REDIS_SENTINELS", "one:26379, two", "two: must be host:port"),
        ("REDIS_TLS_CERT", "/nowhere/client.pem", "not a readable file"),
        ("REDIS_TLS_KEY", "/nowhere/client.key", "needs REDIS_TLS_CERT"),
        ("STREAM_KEY", "pomodoro\nstream", "a line break or another character that does not show"),
        ("OPENAI_API_KEY", "sk-\x1b[31m", "a line break or another character that does not show"),
        ("REDIS_PASSWORD", "half \udcff", "a line break or another character that does not show"),
        ("OPENAI_BASE_URL", "api.openai.com/v1", "a valid URL"),
        ("OPENAI_PROXY", "socks5://127.0.0.1:1080", "should be 'http' or 'https'"),
        ("OPENAI_TLS_CA", "/nowhere/ca.pem", "not a readable file"),
        ("SCHEDULE_RECLASSIFY", "daily", "must be a cron expression such as 0 4 * * *"),
        ("SCHEDULE_RECLASSIFY", "0 25 * * *", "must be a cron expression such as 0 4 * * *"),
        ("SCHEDULE_REBUILD_LEADERBOARD", "0 4 * * 1", "have to be named (mon)"),
    ],
)
def test_an_offender_is_named_with_what_is_expected(name: str, value: str, told: str) -> None:
    line = error_of(**{name: value})

    assert line.startswith(f"{name}: ")
    assert told in line
    assert "\n" not in line


def test_a_temperature_of_none_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_TEMPERATURE", "none")

    assert load_settings().openai_temperature is None


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "redis:1", "[::1]:6379", "unix:///run/redis.sock"])
def test_addresses_that_are_accepted(address: str) -> None:
    assert load_settings(redis_addr=address).redis_addr == address


@pytest.mark.parametrize("sentinels", ["one:26379,two:26379", "one:26379,\n  [::1]:26379"])
def test_with_sentinels_no_redis_is_embedded(sentinels: str) -> None:
    settings = load_settings(redis_sentinels=sentinels)

    assert not settings.embeds_redis
    assert load_settings(app_env="prod", mongo_uri="mongodb://host", redis_sentinels=sentinels).redis_addr is None


def test_beside_a_mongodb_postgresql_has_the_focus_cards() -> None:
    settings = load_settings(mongo_uri="mongodb://host", database_url="postgresql://host/database")

    assert (store_kind(settings), card_store_kind(settings)) == ("mongo", "postgres")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"REDIS_ADDR": "host:6379"}, "REDIS_ADDR: must not be set beside REDIS_SENTINELS (is 'host:6379')"),
        ({"REDIS_CLUSTER": "true"}, "REDIS_CLUSTER: a cluster has no sentinels: unset REDIS_SENTINELS (is 'true')"),
    ],
)
def test_sentinels_exclude_other_ways_to_redis(settings: dict[str, str], told: str) -> None:
    assert error_of(REDIS_SENTINELS="one:26379", **settings) == told


def test_a_client_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "client.pem").write_text("no certificate")
    certificate = {"REDIS_TLS_CERT": str(tmp_path / "client.pem")}

    assert error_of(**certificate) == "REDIS_TLS_KEY: REDIS_TLS_CERT needs REDIS_TLS"
    assert error_of(**certificate, REDIS_TLS="true").startswith("REDIS_TLS_KEY: cannot be used with REDIS_TLS_CERT: ")


def test_all_offenders_are_named_at_once() -> None:
    lines = error_of(BATCH_SIZE="0", TIMEZONE="Mars", MONGO_URI="host", REDIS_ADDR="x", BLOCK_MS="1.5").splitlines()

    assert sorted(line.partition(":")[0] for line in lines) == [
        "BATCH_SIZE",
        "BLOCK_MS",
        "MONGO_URI",
        "REDIS_ADDR",
        "TIMEZONE",
    ]


def test_production_names_both_stores_where_they_are_missing() -> None:
    assert error_of(APP_ENV="prod").splitlines() == [
        "MONGO_URI: must be set where APP_ENV is prod",
        "REDIS_ADDR: must be set where APP_ENV is prod",
    ]


@pytest.mark.parametrize(
    ("given", "missing"), [("MONGO_URI", "REDIS_ADDR"), ("REDIS_ADDR", "MONGO_URI")], ids=["no Redis", "no MongoDB"]
)
def test_production_needs_each_store(given: str, missing: str) -> None:
    stores = {"MONGO_URI": "mongodb://host", "REDIS_ADDR": "host:6379"}
    told = error_of(APP_ENV="prod", **{given: stores[given], missing: ""})

    assert told.startswith(f"{missing}: must be set where APP_ENV is prod")
    assert "\n" not in told


def test_production_with_both_stores_starts() -> None:
    settings = load_settings(app_env="prod", mongo_uri="mongodb://host", redis_addr="host:6379")

    assert settings.app_env == "prod"


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()

    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == "s3cret-r"
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "s3cret" not in shown
    assert "s3cret" not in str(describe_settings())


def test_secrets_never_show_in_an_error() -> None:
    told = error_of(**SECRETS | {"MONGO_URI": "s3cret-m", "BATCH_SIZE": "x", "REDIS_ADDR": "x"})

    assert "s3cret" not in told
    assert "MONGO_URI" in told


def test_a_password_put_into_the_address_does_not_show() -> None:
    assert "s3cret" not in error_of(REDIS_ADDR="redis://:s3cret@host:6379/0")


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://u:s3cret@s3cret/s3:cret@host",
        "mongodb://u:s3cret/@host/",
        "mongodb://u:s3%cret@host",
        "mongodb://u:s3?cret=1@host/",
        "mongodb://u:s3cret@host:99999",
        "mongodb://u:s3cret@[::1",
        "mongodb://u:s3cre℀t@s3cret@host/a@b",
        "mongodb://u:s3cret@",
        "mongodb://u:s3cret@host,",
        "mongodb://u:s3cret@host/?s3cret=1",
        "mongodb://u:s3cret@host/?tls=s3cret",
        "mongodb://u:s3cret@host/?tlsCAFile=/s3cret",
        "mongodb://u:s3cret@host/db/s3cret",
    ],
)
def test_a_mongodb_uri_with_odd_characters_is_one_line_that_does_not_quote_it(uri: str, driver: str) -> None:
    with pytest.raises(SettingsError) as offence:
        make_client(load_settings(mongo_uri=uri, mongo_driver=driver))

    told = str(offence.value)
    assert told.startswith("MONGO_URI: ")
    assert "\n" not in told
    assert "s3cret" not in told
    assert offence.value.__suppress_context__ or offence.value.__context__ is None, "a traceback would quote it"


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://u:p%40ss%2F@[::1]:27017,b:1/db?replicaSet=a&appName=@cosmos@&W=1",
        "mongodb://u:s3#cret@host",
        "mongodb://h/?ssl=true&retrywrites=false&maxIdleTimeMS=120000",
    ],
)
async def test_a_mongodb_uri_that_is_right_is_taken(uri: str) -> None:
    await make_client(load_settings(mongo_uri=uri, mongo_driver="pymongo")).close()


def test_secrets_never_show_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(**{name.lower(): value for name, value in SECRETS.items()}, redis_addr="host:6379")
    configure_logging(settings)
    announce_stores(settings)

    out = capsys.readouterr().out
    assert "host:6379" in out
    assert "MongoDB" in out
    assert "s3cret" not in out


def test_every_setting_is_described() -> None:
    described = describe_settings()

    assert sorted(setting.name for setting in described) == sorted(name.upper() for name in Settings.model_fields)
    assert all(len(setting.description) > 5 for setting in described)
    assert {setting.name: setting.default for setting in described}["BLOCK_MS"] == "2000"


@pytest.mark.parametrize("ending", ["_MS", "_BYTES", "_TIMEOUT", "_TTL"])
def test_quantities_have_a_unit(ending: str) -> None:
    units = {setting.name: setting.unit for setting in describe_settings() if setting.name.endswith(ending)}

    assert units
    assert all(units.values()), units


def test_this_machine_does_not_show_in_the_description() -> None:
    assert HOST_NAME not in [setting.default for setting in describe_settings()]


def test_what_is_scheduled() -> None:
    settings = load_settings(
        schedule_rebuild_leaderboard="0 4 * * mon",
        schedule_apply_corrections="never",
        schedule_apply_retention="never",
        schedule_refresh_cards="never",
        schedule_post_cards="never",
    )

    assert settings.schedule == {"rebuild_leaderboard": "0 4 * * mon"}
