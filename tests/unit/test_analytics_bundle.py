"""What deploy/analytics brings to Druid and Superset fits together, and fits the event."""

import io
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.analytics import apply
from domains.activityEvent.model import ActivityEvent
from infrastructure.kafka.event_sink import SPANS

ANALYTICS = Path(apply.__file__).parent
EVENT = {field.name for field in fields(ActivityEvent)}


def documents(kind: str) -> list[dict[str, Any]]:
    return [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ANALYTICS / "superset" / kind).rglob("*.yaml")
    ]


def test_druid_reads_all_that_an_event_says_and_committed_transactions_alone() -> None:
    spec = json.loads((ANALYTICS / "druid" / "pomocore-spans.json").read_text())["spec"]
    dimensions = spec["dataSchema"]["dimensionsSpec"]["dimensions"]

    assert {each if isinstance(each, str) else each["name"] for each in dimensions} == EVENT - {"timestamp"}
    assert spec["ioConfig"]["topic"] == SPANS
    assert spec["ioConfig"]["consumerProperties"]["isolation.level"] == "read_committed"
    assert spec["dataSchema"]["granularitySpec"]["rollup"] is False


def test_charts_ask_for_what_the_dataset_has() -> None:
    (dataset,) = documents("datasets")
    columns = {column["column_name"] for column in dataset["columns"]}
    metrics = {metric["metric_name"] for metric in dataset["metrics"]}

    assert columns == (EVENT - {"timestamp"}) | {"__time", "local_day"}
    assert len(documents("charts")) >= 8
    for chart in documents("charts"):
        (query,) = json.loads(chart["query_context"])["queries"]
        asked = {each if isinstance(each, str) else each["sqlExpression"] for each in query["columns"]}
        assert set(query["metrics"]) <= metrics, chart["slice_name"]
        assert {it for it in asked if "(" not in it} <= columns, chart["slice_name"]
        assert chart["dataset_uuid"] == dataset["uuid"]


def test_each_chart_is_on_a_dashboard() -> None:
    shown = [
        item["meta"]["uuid"]
        for dashboard in documents("dashboards")
        for item in dashboard["position"].values()
        if isinstance(item, dict) and item["type"] == "CHART"
    ]

    assert {dashboard["slug"] for dashboard in documents("dashboards")} == {"pomocore-focus", "pomocore-quality"}
    assert sorted(shown) == sorted(apply.uuids("charts"))


@pytest.mark.parametrize("kind", ["charts", "dashboards", "datasets", "databases"])
def test_uuids_are_those_of_the_documents(kind: str) -> None:
    assert apply.uuids(kind) == {document["uuid"] for document in documents(kind)}


def test_the_bundle_names_the_druid_that_was_given() -> None:
    with zipfile.ZipFile(io.BytesIO(apply.bundle("druid://here:1/"))) as packed:
        database = yaml.safe_load(packed.read("pomocore/databases/Pomocore_Druid.yaml"))
        names = set(packed.namelist())

    assert database["sqlalchemy_uri"] == "druid://here:1/"
    assert "pomocore/metadata.yaml" in names
    assert len(names) == len(documents("charts")) + len(documents("dashboards")) + 3
