"""The table, the JSON and a description of the machine."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.table import Table

from bench.figures import Outcome, Row
from bench.measure import Testbed
from bench.scenarios import Options
from infrastructure.process.embedded_redis import find_redis_server


def print_table(rows: list[Row], console: Console) -> None:
    table = Table("", "what", "median (least … greatest)", "target", "", title="Pomocore data pipeline")
    part = rows[0].part if rows else ""
    for row in rows:
        if row.part != part:
            table.add_section()
            part = row.part
        holds = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.holds]
        table.add_row(row.part, row.what, row.value, row.target, holds)
    console.print(table)


def as_json(outcomes: dict[str, Outcome], options: Options, bed: Testbed, command: str) -> dict[str, Any]:
    return {
        "command": command,
        "machine": machine(bed),
        "options": vars(options),
        "parts": {part: outcome.figures for part, outcome in outcomes.items()},
        "rows": [vars(row) for outcome in outcomes.values() for row in outcome.rows],
    }


def write_json(result: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine(bed: Testbed) -> dict[str, Any]:
    version = subprocess.run([find_redis_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "redis": version.split("=")[1].split(" ")[0],
        "redis_py": redis.__version__,
        "redis_persistence": "none; the embedded one: AOF, everysec",
        "mongodb": "MONGO_TEST_URI" if bed.real_mongo else "the benchmark's stand-in, acknowledges at once",
    }
