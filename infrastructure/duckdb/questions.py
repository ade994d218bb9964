"""Questions about the events in DuckDB: ready ones, and what anybody asks in SQL."""

from pathlib import Path
from typing import Any, NamedTuple

from infrastructure.duckdb.event_sink import connect


class Question(NamedTuple):
    tells: str
    sql: str


class NoEvents(Exception):
    """There is no file yet. The text says what to do."""


class WrongQuestion(Exception):
    """DuckDB cannot answer. The text is its."""


_DAYS = "day > (SELECT max(day) FROM spans) - INTERVAL"

QUESTIONS = {
    "categories": Question(
        "hours by category, of all time",
        "SELECT category, sum(seconds) / 3600 AS hours, count(DISTINCT user) AS users FROM spans"
        " GROUP BY category HAVING abs(sum(seconds)) > 0.001 ORDER BY hours DESC",
    ),
    "days": Question(
        "hours of work and of all by day, the last 30",
        "SELECT day, sum(seconds) FILTER (work) / 3600 AS work_hours, sum(seconds) / 3600 AS hours FROM spans"
        f" WHERE {_DAYS} 30 DAY GROUP BY day ORDER BY day",
    ),
    "heat-map": Question(
        "hours by weekday (1 is Monday) and hour of the day",
        "SELECT isodow(day) AS weekday, hour, sum(seconds) / 3600 AS hours FROM spans GROUP BY ALL ORDER BY ALL",
    ),
    "category-stream": Question(
        "hours by week and category, the last half year",
        "SELECT date_trunc('week', day)::DATE AS week, category, sum(seconds) / 3600 AS hours FROM spans"
        f" WHERE {_DAYS} 182 DAY GROUP BY ALL HAVING abs(sum(seconds)) > 0.001 ORDER BY ALL",
    ),
    "top-sites": Question(
        "the sites on which the most time is spent, the last 30 days",
        "SELECT host, any_value(category) AS category, sum(seconds) / 3600 AS hours, count(DISTINCT user) AS users"
        f" FROM spans WHERE host <> '' AND {_DAYS} 30 DAY GROUP BY host ORDER BY hours DESC LIMIT 25",
    ),
    "top-apps": Question(
        "the apps in which the most time is spent, the last 30 days",
        "SELECT app, sum(seconds) / 3600 AS hours, count(DISTINCT user) AS users"
        f" FROM spans WHERE app <> '' AND {_DAYS} 30 DAY GROUP BY app ORDER BY hours DESC LIMIT 25",
    ),
    "unknown-share": Question(
        "what share of the time nobody could name, by day",
        "SELECT day, sum(seconds) FILTER (category = 'Uncategorized') / nullif(sum(seconds), 0) AS unknown_share,"
        f" sum(seconds) / 3600 AS hours FROM spans WHERE {_DAYS} 30 DAY GROUP BY day ORDER BY day",
    ),
    "unknown-apps": Question(
        "what nobody could name: apps and sites",
        "SELECT app, host, sum(seconds) / 3600 AS hours FROM spans WHERE category = 'Uncategorized'"
        " GROUP BY ALL HAVING sum(seconds) > 0 ORDER BY hours DESC LIMIT 25",
    ),
    "tiers": Question(
        "which tier decided how much",
        "SELECT tier, sum(seconds) / 3600 AS hours, sum(sign) AS spans FROM spans GROUP BY tier ORDER BY hours DESC",
    ),
    "sources": Question(
        "where spans come from, and how late they are committed (median and 99th percentile, seconds)",
        "SELECT source, count(*) AS events, median(epoch(committed_at) - epoch(timestamp)) AS late_median,"
        " quantile_cont(epoch(committed_at) - epoch(timestamp), 0.99) AS late_p99 FROM spans GROUP BY source",
    ),
    "changed": Question(
        "how much was counted in one category and moved to another, by day of the change",
        "SELECT committed_at::DATE AS changed_on, category AS old_category, -sum(seconds) / 3600 AS hours"
        " FROM spans WHERE sign < 0 GROUP BY ALL ORDER BY ALL",
    ),
}


def answer(path: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of the columns, and the rows. Nothing can be changed, and no other file be read.

    Raises EventsOutage, DuckDbMissing, NoEvents, WrongQuestion.
    """
    if not path.exists():
        raise NoEvents(f"{path}: no events yet; EVENTS=true makes the pipeline write them")
    with connect(path, read_only=True) as connection:
        try:
            found = connection.execute(sql)
            return [column[0] for column in found.description or ()], found.fetchall()
        except Exception as error:
            if "duckdb" not in type(error).__module__:
                raise
            raise WrongQuestion(str(error)) from error
