"""The reference pages in docs/, made from the descriptions of settings, metrics and tasks in the code."""

from collections.abc import Iterable, Sequence

from domains.activityEvent.quality import SourceQuality
from domains.pomodoro.consumer import ConsumerVitals
from domains.workQueue.model import QueueFigures
from infrastructure.observing.collector_metrics import CollectorMetrics
from infrastructure.observing.metrics import (
    GaugeCollector,
    LoopLag,
    MetricsObserver,
    StreamGauges,
    describe_metrics,
    make_registry,
)
from infrastructure.operations.task_registry import TASKS
from infrastructure.settings import describe_settings


def settings_page() -> str:
    rows = [
        (f"`{it.name}`", f"`{it.default}`" if it.default else "", it.unit, it.description)
        for it in describe_settings()
    ]
    return "# Settings\n\nFrom the environment, then from `.env`. Made by `make docs`.\n\n" + _table(
        ("setting", "default", "unit", "meaning"), rows
    )


def metrics_page() -> str:
    registry = make_registry()
    observer = MetricsObserver(registry)
    observer.queue_seen(QueueFigures("", 0, 0, 0.0, 0, 0))  # these have labels from the first figures on
    observer.quality_assessed([SourceQuality("")])
    LoopLag(registry)
    CollectorMetrics(registry)
    vitals = ConsumerVitals(0, 0, False, False, {"read": 0.0})
    registry.register(GaugeCollector(StreamGauges(), ["stream"], lambda: [vitals]))
    rows = [(f"`{it.name}`", it.type, it.labels, it.meaning) for it in describe_metrics(registry)]
    return (
        "# Metrics\n\nWhat `/metrics` serves, with the `process_` and `python_` figures of the Prometheus client.\n"
        "Counters are of one process and since its start; gauges with the label `stream` are of Redis, the same\n"
        "from each instance (take `max`, not `sum`). Made by `make docs`.\n\n"
        + _table(("metric", "type", "labels", "meaning"), rows)
    )


def tasks_page() -> str:
    rows = [
        (
            f"`{task.name}`",
            task.help,
            "<br>".join(f"`{name}`: {text}" for name, text in task.parameters.items()),
            f"`{task.schedule_setting.upper()}`" if task.scheduled else "",
        )
        for task in TASKS.values()
    ]
    return (
        "# Tasks\n\nWhat Spring, the schedule and `python -m cmd.send` can ask for, as\n"
        "[commands.md](commands.md) says. Made by `make docs`.\n\n"
        + _table(("task", "what it does", "parameters", "schedule"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


REFERENCE_PAGES = {"docs/settings.md": settings_page, "docs/metrics.md": metrics_page, "docs/tasks.md": tasks_page}
"""Each page by its path from the root of the repository."""
