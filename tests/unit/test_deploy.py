"""What deploy/ and compose.yaml say is so: the metrics, settings, paths and commands that they name exist."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from inspect import signature
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from infrastructure.composition.pipeline import SUPERVISED_SECONDS
from infrastructure.composition.reference_pages import metrics_page
from infrastructure.http.api import Api
from infrastructure.http.server import make_app
from infrastructure.observing.metrics import MetricsObserver, make_registry
from infrastructure.settings import Settings, load_settings
from tests import kustomize

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
PRODUCTION = DEPLOY / "k8s" / "overlays" / "production"
UNIT = DEPLOY / "systemd" / "pomocore-data-pipeline.service"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
SETTINGS = {name.upper() for name in Settings.model_fields}
SECRETS = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}


def text_of(*path: str) -> str:
    return DEPLOY.joinpath(*path).read_text(encoding="utf-8")


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"no {name} on PATH")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
GROUPS = yaml.safe_load(text_of("prometheus", "rules.yml"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
_LOKI = yaml.safe_load((DEPLOY / "loki" / "rules" / "fake" / "pomocore.yaml").read_text(encoding="utf-8"))
LOKI_ALERTS = [rule["alert"] for group in _LOKI["groups"] for rule in group["rules"]]


# Alertmanager


def test_the_alertmanager_has_a_receiver_for_every_route() -> None:
    document = yaml.safe_load(text_of("alertmanager", "alertmanager.yml"))
    receivers = {receiver["name"] for receiver in document["receivers"]}

    assert receivers == {"nobody", "slack", "email", "webhook"}
    assert {route["receiver"] for route in (document["route"], *document["route"]["routes"])} <= receivers


def test_amtool_accepts_the_alertmanager() -> None:
    run(tool("amtool"), "check-config", "alertmanager/alertmanager.yml")


def test_prometheus_tells_the_alertmanager_of_the_compose_file() -> None:
    (alerting,) = yaml.safe_load(text_of("prometheus", "prometheus.yml"))["alerting"]["alertmanagers"]
    ((target,),) = [each["targets"] for each in alerting["static_configs"]]

    assert target.partition(":")[0] in COMPOSE["services"]


# Metrics


def known_series() -> dict[str, set[str]]:
    """Labels of each series that there is to ask for, by its name; without job and instance."""
    series = {name: set() for name in ("up", "process_resident_memory_bytes", "process_cpu_seconds_total")}
    series["ALERTS"] = {"alertname", "alertstate"}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \|", metrics_page(), re.MULTILINE):
        own = set(labels.split(", ")) - {""}
        if kind == "histogram":
            series |= {f"{name}_bucket": own | {"le"}, f"{name}_sum": own, f"{name}_count": own}
        else:
            series[name] = own
    for rule in RULES:
        if "record" in rule:
            series[rule["record"]] = set(rule["record"].partition(":")[0].split("_"))
    return series


def known_values() -> dict[tuple[str, str], set[str]]:
    """Values of a label, by series and label, where they are all known from the start."""
    registry, values = make_registry(), dict[tuple[str, str], set[str]]()
    MetricsObserver(registry)
    for sample in (sample for family in registry.collect() for sample in family.samples):
        for label, value in sample.labels.items():
            values.setdefault((sample.name, label), set()).add(value)
    return values


def selectors(expression: str) -> list[Any]:
    """Also says, by raising, that the expression is no PromQL."""
    plain = expression.replace("$__rate_interval", "5m")
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(plain), lambda node: found.append(node))
    return [node for node in found if isinstance(node, promql_parser.VectorSelector)]


def expressions_of(dashboard: Path) -> list[str]:
    """In PromQL; those in LogQL are tests.logql's."""
    panels = json.loads(dashboard.read_text())["panels"]
    return [it["expr"] for panel in panels if panel["datasource"]["type"] == "prometheus" for it in panel["targets"]]


EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule.get("alert") or rule["record"]) for rule in RULES),
    *(
        pytest.param(expression, id=f"{path.stem}-{number}")
        for path in DASHBOARDS
        for number, expression in enumerate(expressions_of(path))
    ),
    pytest.param(
        yaml.safe_load(text_of("k8s", "components", "keda", "scaledobject.yaml"))["spec"]["triggers"][0]["metadata"][
            "query"
        ],
        id="keda",
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_is_measured(expression: str) -> None:
    series, values = known_series(), known_values()

    asked = selectors(expression)

    assert asked
    for selector in asked:
        assert selector.name in series, f"{selector.name} is no metric"
        for matcher in selector.matchers.matchers:
            assert matcher.name in series[selector.name] | {"job", "instance"}, (
                f"{selector.name} has no {matcher.name}"
            )
            known = values.get((selector.name, matcher.name))
            if known is not None:
                wanted = matcher.value.split("|")
                assert set(wanted) <= known, f"{selector.name}: {matcher.name} is never {matcher.value}"


def test_a_metric_that_there_is_not_is_found() -> None:
    assert "pomocore_nothing_total" not in known_series()
    with pytest.raises(ValueError):
        selectors("sum by (job (up)")


# Alerts


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"deploy/runbook.md#{alert.lower()}"


def test_each_alert_has_its_entry_in_the_runbook_and_each_entry_its_alert() -> None:
    _, *entries = re.split(r"^## ", text_of("runbook.md"), flags=re.MULTILINE)

    assert [entry.split("\n")[0] for entry in entries] == [*ALERTS, *LOKI_ALERTS]
    for entry in entries:
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", entry, re.MULTILINE) == ["Meaning", "Look", "Do"], entry[:40]


@pytest.mark.parametrize(
    ("alert", "setting", "share"),
    [
        ("PomocoreStreamTooLong", "stream_max_backlog", 1.0),
        ("PomocoreDeadLettersFull", "dead_letters_max", 0.8),
        ("PomocoreLLMBudget", "llm_daily_token_budget", 0.8),
        ("PomocoreSpoolFilling", "archive_spool_max_bytes", 0.8),
    ],
)
def test_limits_of_alerts_are_those_of_the_settings(alert: str, setting: str, share: float) -> None:
    limit = float(ALERTS[alert]["expr"].rpartition("> ")[2])

    assert limit == share * Settings.model_fields[setting].default


def test_rules_and_scrape_config_by_promtool() -> None:
    promtool = tool("promtool")

    run(promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus/prometheus.yml")
    run(promtool, "test", "rules", "prometheus/rules_test.yml")


# Dashboards


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_works_on_any_grafana(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}

    assert dashboard["uid"] == f"pomocore-{path.stem}"
    assert "id" not in dashboard
    assert len({panel["id"] for panel in panels}) == len({panel["title"] + panel["type"] for panel in panels})
    assert "://" not in path.read_text()
    for panel in panels:
        for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            assert source in ({"type": "prometheus", "uid": "${datasource}"}, {"type": "loki", "uid": "${loki}"})
        for target in panel["targets"]:
            used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval", "__auto"}
            assert used <= variables


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap(path: Path) -> None:
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in json.loads(path.read_text())["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_each_of_our_metrics_is_on_a_dashboard() -> None:
    shown = {selector.name for path in DASHBOARDS for it in expressions_of(path) for selector in selectors(it)}
    ours = re.findall(r"^\| `(\w+)`", metrics_page(), re.MULTILINE)

    assert [name for name in ours if not any(it.startswith(name) for it in shown)] == []


# Compose


def mounts_of(service: str) -> dict[str, Path]:
    volumes = [volume.split(":") for volume in COMPOSE["services"][service]["volumes"]]
    return {inside: ROOT / outside for outside, inside, *_ in volumes if outside.startswith(".")}


def test_compose_mounts_what_prometheus_and_grafana_read() -> None:
    assert (mounts_of("prometheus")["/etc/prometheus"] / "prometheus.yml").is_file()
    mounts = mounts_of("grafana")
    provisioning = mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "pomocore.yaml").read_text())["providers"]
    environment = COMPOSE["services"]["grafana"]["environment"]
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert sorted(mounts[provider["options"]["path"]].glob("*.json")) == DASHBOARDS
    assert (mounts[str(home.parent)] / home.name).is_file()
    for name in re.findall(r"\$\{(\w+)\}", (provisioning / "datasources" / "prometheus.yaml").read_text()):
        assert name in environment


def test_prometheus_scrapes_the_consumer() -> None:
    config = yaml.safe_load(text_of("prometheus", "prometheus.yml"))
    (job,) = config["scrape_configs"]
    found, collector = job["dns_sd_configs"]
    environment = COMPOSE["services"][found["names"][0]]["environment"]

    assert job["job_name"] == "pomocore"
    assert environment["HTTP_PORT"] == str(found["port"])
    assert environment["HTTP_HOST"] == "0.0.0.0"
    assert COMPOSE["services"][collector["names"][0]]["environment"]["COLLECT_PORT"] == str(collector["port"])
    assert environment.keys() <= SETTINGS
    assert [DEPLOY / "prometheus" / name for name in config["rule_files"]] == [DEPLOY / "prometheus" / "rules.yml"]


@pytest.mark.parametrize("service", [name for name, it in COMPOSE["services"].items() if "image" in it])
def test_images_are_of_one_major_version(service: str) -> None:
    assert re.search(r":v?\d+(\.\d+)*$", COMPOSE["services"][service]["image"])


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_services_have_a_memory_limit(service: str) -> None:
    assert re.fullmatch(r"\d+[mg]", COMPOSE["services"][service]["mem_limit"])


def test_compose_does_not_start_stores_without_passwords() -> None:
    services = COMPOSE["services"]
    wanted = re.compile(r"\$\{(POMOCORE_\w+):\?[^}]+\}")
    redis, mongo, consumer = (services[name]["environment"] for name in ("redis", "mongo", "consumer"))
    command = services["redis"]["command"]

    assert command[command.index("--requirepass") + 1] == redis["REDISCLI_AUTH"] == consumer["REDIS_PASSWORD"]
    assert wanted.fullmatch(consumer["REDIS_PASSWORD"])
    assert wanted.fullmatch(mongo["MONGO_INITDB_ROOT_PASSWORD"])
    account = f"{mongo['MONGO_INITDB_ROOT_USERNAME']}:{mongo['MONGO_INITDB_ROOT_PASSWORD']}"
    assert consumer["MONGO_URI"] == f"mongodb://{account}@mongo:27017"
    for name in wanted.findall(str(services)):
        assert f"{name}=" in text_of("README.md")
        assert name not in SETTINGS, "a pipeline that runs without containers reads the same .env"


def docker_runs() -> list[list[str]]:
    pages = [(ROOT / name).read_text() for name in ("README.md", "README.ko.md", "deploy/README.md")]
    lines = [line for page in pages for line in page.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("docker run ")]


@pytest.mark.parametrize("words", docker_runs(), ids=" ".join)
def test_a_container_that_is_started_as_documented_can_be_reached(words: list[str]) -> None:
    options = list(pairwise(words))
    given = dict(value.split("=", 1) for name, value in options if name == "-e")
    settings = load_settings(app_env="prod", **{name.lower(): value for name, value in given.items()})
    published = [value for name, value in options if name == "-p"]

    if ("--network", "host") in options:
        assert (settings.http_host, published) == ("127.0.0.1", [])
    else:
        assert (settings.http_host, published) == ("0.0.0.0", ["127.0.0.1:8080:8080"])
    assert given.keys() >= {"REDIS_ADDR", "MONGO_URI", "MONGO_DATABASE"}


def test_the_console_of_compose_is_published() -> None:
    consumer = COMPOSE["services"]["consumer"]

    assert consumer["ports"] == ["127.0.0.1:${CONSOLE_PORT:-8080}:" + consumer["environment"]["HTTP_PORT"]]
    assert consumer["environment"]["HTTP_HOST"] == "0.0.0.0"


def test_the_documented_port_forward_names_what_there_is(tmp_path: Path) -> None:
    (line,) = [line for line in text_of("README.md").splitlines() if "port-forward" in line]
    _, _, namespace, _, resource, ports = line.split()
    kind, _, name = resource.partition("/")
    found = manifests(tmp_path)

    assert kind == "deploy"
    deployment = next(it for it in found if it["kind"] == "Deployment" and it["metadata"]["name"] == name)
    assert deployment["metadata"]["namespace"] == namespace
    assert ports.split(":")[1] == one("ConfigMap", found)["data"]["HTTP_PORT"]


def test_ports_are_published_to_this_machine_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


# Kubernetes


def manifests(tmp_path: Path, *components: str) -> list[kustomize.Manifest]:
    """The production overlay, with components."""
    own = tmp_path / "overlay"
    own.mkdir()
    wanted = {
        "resources": [os.path.relpath(PRODUCTION, own)],
        "components": [os.path.relpath(DEPLOY / "k8s" / "components" / name, own) for name in components],
    }
    (own / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return kustomize.build(own)


def one(kind: str, found: list[kustomize.Manifest]) -> Any:
    (it,) = (manifest for manifest in found if manifest["kind"] == kind)
    return it


def pod(found: list[kustomize.Manifest]) -> tuple[Any, Any]:
    """The pod's spec, and its container's."""
    spec = one("Deployment", found)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_manifests_follow_the_schemas_of_kubernetes(version: str, tmp_path: Path) -> None:
    for manifest in manifests(tmp_path):
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("components", [[], ["keda"], ["exporter"], ["cards"]])
def test_kustomize_builds_the_same(components: list[str], tmp_path: Path) -> None:
    ours = manifests(tmp_path, *components)
    theirs = list(yaml.safe_load_all(run(tool("kustomize"), "build", tmp_path / "overlay").stdout))
    unhashed = json.loads(re.sub(r"(pomocore-settings)-\w{10}\b", r"\1", json.dumps(theirs)))

    def order(manifest: kustomize.Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    assert sorted(ours, key=order) == sorted(unhashed, key=order)


def test_a_pod_may_do_as_little_as_it_needs(tmp_path: Path) -> None:
    spec, container = pod(manifests(tmp_path))
    uid = re.search(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert uid is not None
    assert spec["securityContext"]["runAsUser"] == int(uid[1])
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"].keys() == {"requests", "limits"}


def test_a_pod_gets_the_settings_and_the_secrets_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests(tmp_path)
    _, container = pod(found)
    plain = one("ConfigMap", found)["data"]
    secret = {it["name"]: it["valueFrom"]["secretKeyRef"]["key"] for it in container["env"]}

    assert not [manifest for manifest in found if manifest["kind"] == "Secret"]
    assert plain.keys() <= SETTINGS - SECRETS
    assert secret == {name: name for name in secret}
    assert secret.keys() <= SECRETS
    for name, value in {**plain, "APP_ENV": "prod", "MONGO_URI": "mongodb://mongo"}.items():
        monkeypatch.setenv(name, value)
    assert load_settings().http_host == "0.0.0.0"


def test_a_pod_has_the_time_to_drain(tmp_path: Path) -> None:
    found = manifests(tmp_path)
    shutdown = float(one("ConfigMap", found)["data"]["SHUTDOWN_TIMEOUT"])

    assert pod(found)[0]["terminationGracePeriodSeconds"] > shutdown + SUPERVISED_SECONDS


def test_probes_ask_what_is_served(tmp_path: Path) -> None:
    found = manifests(tmp_path)
    _, container = pod(found)
    nothing: dict[str, Any] = dict.fromkeys([*signature(Api).parameters][1:]) | {"streams": []}
    served = {resource.canonical for resource in make_app(None, Api(Settings(), **nothing)).router.resources()}
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in served
        assert ports[container[probe]["httpGet"]["port"]] == one("ConfigMap", found)["data"]["HTTP_PORT"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_all_manifests_mean_the_same_pods(tmp_path: Path) -> None:
    found = manifests(tmp_path)
    deployment = one("Deployment", found)
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert one("PodDisruptionBudget", found)["spec"]["selector"]["matchLabels"] == labels
    assert one("NetworkPolicy", found)["spec"]["podSelector"]["matchLabels"] == labels
    assert one("Service", found)["spec"]["selector"] == labels
    assert one("HorizontalPodAutoscaler", found)["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]


def test_pods_reach_their_stores_and_no_more(tmp_path: Path) -> None:
    policy = one("NetworkPolicy", manifests(tmp_path))["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = sorted(port["port"] for rule in policy["egress"] for port in rule["ports"])
    assert ports == [53, 53, 443, 6379, 9092, 9093, 26379, 27017]
    for rule in policy["egress"]:
        assert all("podSelector" in peer or "ipBlock" in peer for peer in rule["to"])
    assert all("from" in rule for rule in policy["ingress"])


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_the_collector_has_a_volume_a_token_key_and_time_to_drain(version: str, tmp_path: Path) -> None:
    found = manifests(tmp_path, "collector")
    for manifest in found:
        kubernetes_validate.validate(manifest, version, strict=True)
    spec = one("StatefulSet", found)["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    variables = {it["name"]: it for it in container["env"]}
    (claim,) = spec["volumeClaimTemplates"]
    size = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 2**30
    settings = one("ConfigMap", found)["data"]

    assert container["volumeMounts"] == [
        {"name": claim["metadata"]["name"], "mountPath": variables["DATA_DIR"]["value"]}
    ]
    assert size > Settings.model_fields["archive_spool_max_bytes"].default
    assert "optional" not in variables["COLLECT_TOKEN_KEY"]["valueFrom"]["secretKeyRef"]
    assert {name for name in variables if not name.startswith("AWS_")} <= SETTINGS
    assert pod["terminationGracePeriodSeconds"] > float(settings["SHUTDOWN_TIMEOUT"]) + 15  # preStop, answers
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    labels = spec["template"]["metadata"]["labels"]
    own = [it for it in found if it["metadata"]["name"] == "pomocore-collector"]
    policy, service = ([it for it in own if it["kind"] == kind] for kind in ("NetworkPolicy", "Service"))
    assert policy[0]["spec"]["podSelector"]["matchLabels"] == service[0]["spec"]["selector"] == labels


@pytest.mark.parametrize(
    ("component", "command", "secret", "reached"),
    [
        ("exporter", ["cmd.export"], "EVENTS_USER_KEY", [53, 53, 6379, 9092, 9093, 26379, 27017]),
        ("cards", ["cmd.cards", "worker"], "MONGO_URI", [53, 53, 6379, 26379, 27017]),
    ],
)
def test_workers_have_what_they_need_and_reach_no_more(
    component: str, command: list[str], secret: str, reached: list[int], tmp_path: Path
) -> None:
    found = manifests(tmp_path, component)
    for version, manifest in product(("1.29", "1.33", "1.37"), found):
        kubernetes_validate.validate(manifest, version, strict=True)
    (policy, budget, deployment) = (
        next(it for it in found if (it["kind"], it["metadata"]["name"]) == (kind, f"pomocore-{component}"))["spec"]
        for kind in ("NetworkPolicy", "PodDisruptionBudget", "Deployment")
    )
    labels = deployment["template"]["metadata"]["labels"]
    (container,) = deployment["template"]["spec"]["containers"]
    (consumer,) = pod([it for it in found if it["metadata"]["name"] == "pomocore-consumer"])[0]["containers"]
    names = {it["name"] for it in container["env"]}

    assert deployment["selector"]["matchLabels"] == labels == budget["selector"]["matchLabels"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert deployment["replicas"] > budget["maxUnavailable"]
    assert names <= SECRETS
    assert secret in names & {it["name"] for it in consumer["env"]}
    ports = sorted(port["port"] for rule in policy["egress"] for port in rule["ports"])
    assert ports == reached
    assert container["command"] == ["python", "-m", *command]
    served = [str(port["containerPort"]) for port in container.get("ports", ())]
    assert served == ([one("ConfigMap", found)["data"]["HTTP_PORT"]] if "livenessProbe" in container else [])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_keda_takes_the_place_of_the_autoscaler(tmp_path: Path) -> None:
    found = manifests(tmp_path, "keda")

    assert "HorizontalPodAutoscaler" not in {manifest["kind"] for manifest in found}
    assert (
        one("ScaledObject", found)["spec"]["scaleTargetRef"]["name"] == one("Deployment", found)["metadata"]["name"]
    )
    assert one("ScaledObject", found)["spec"]["minReplicaCount"] >= 1


# systemd


def directives() -> Iterator[tuple[str, str]]:
    return (tuple(line.split("=", 1)) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))


def test_the_unit_is_one_by_systemd(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    unit = tmp_path / UNIT.name  # with an interpreter that this machine has
    unit.write_text(UNIT.read_text().replace("/opt/pomocore-data-pipeline/.venv/bin/python", sys.executable))

    assert UNIT.name not in run(analyze, "verify", "--man=no", unit).stderr  # a wrong key is a warning alone
    run(analyze, "security", "--offline=true", "--threshold=15", unit)


def test_the_unit_starts_the_consumer_and_lets_it_drain() -> None:
    unit = dict(directives())
    module = unit["ExecStart"].partition(" -m ")[2]
    variables = dict(pair.split("=") for pair in unit["Environment"].split())

    assert importlib.util.find_spec(module) is not None
    assert float(unit["TimeoutStopSec"]) > Settings.model_fields["shutdown_timeout"].default + SUPERVISED_SECONDS
    assert re.fullmatch(r"\d+M", unit["MemoryMax"])
    assert unit["ProcSubset"] == "pid"
    assert variables["APP_ENV"] == "prod"
    assert variables["DATA_DIR"] == f"/var/lib/{unit['StateDirectory']}"
    assert {name for name in variables if not name.startswith("PYTHON")} <= SETTINGS


def test_the_script_runs_commands_as_the_unit_runs_the_consumer() -> None:
    unit, script = dict(directives()), text_of("systemd", "pomocore")
    variables = dict(pair.split("=") for pair in unit["Environment"].split())

    assert f"\ncd {unit['WorkingDirectory']}\n" in script
    assert f"\n. {unit['EnvironmentFile']}\n" in script
    assert f"DATA_DIR:={variables['DATA_DIR']}" in script
    assert os.access(DEPLOY / "systemd" / "pomocore", os.X_OK)
    for path in re.findall(r"deploy/[\w./-]+", text_of("README.md").partition("## systemd")[2].partition("##")[0]):
        assert (ROOT / path).is_file()


def test_the_example_of_its_settings_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in text_of("systemd", "pipeline.env.example").splitlines() if not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines)

    assert variables.keys() <= SETTINGS
    for name, value in {**variables, "APP_ENV": "prod"}.items():
        monkeypatch.setenv(name, value)
    assert load_settings().redis_addr == variables["REDIS_ADDR"]


# Texts


def test_the_actions_of_the_log_are_documented() -> None:
    sources = [path for top in ("domains", "infrastructure", "cmd") for path in (ROOT / top).rglob("*.py")]
    told = {action for path in sources for action in re.findall(r'\baction="(\w+)"', path.read_text())}
    rows = re.findall(
        r"^\| (`.*?) \| [a-z, ]+ \|", text_of("logs.md").partition("| `action` | level")[2], re.MULTILINE
    )

    assert {action for row in rows for action in re.findall(r"`(\w+)`", row)} == told


@pytest.mark.parametrize("page", ["runbook.md", "logs.md"])
def test_texts_name_settings_and_commands_that_there_are(page: str) -> None:
    text = text_of(page)
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))
    commands = set(re.findall(r"python -m (cmd\.\w+)", text))

    assert named <= SETTINGS
    assert all(importlib.util.find_spec(command) for command in commands)
    for alert in re.findall(r"\bPomocore[A-Z]\w+", text):
        assert alert in {*ALERTS, *LOKI_ALERTS}
    for metric in re.findall(r"\bpomocore_\w+", text):
        assert metric in known_series()
