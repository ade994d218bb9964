"""The tasks that Spring, the schedule or an operator can request. A new task is an entry here and a function.

The function is the method of `infrastructure.operations.tasks.Tasks` that has the task's name. From this list come
the settings SCHEDULE_*, the help of `cmd.send`, docs/tasks.md and the labels of metrics.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from domains.leaderboard.model import Period


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters. The description of a parameter says what happens if it is not given."""


class ReplayParams(Params, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(description="only those whose reason contains this text, in any case")] = ""
    older_than: Annotated[str, msgspec.Meta(description="only those older than this: 90s, 15m, 12h, 7d")] = ""
    ids: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=r"^\d{1,20}-\d{1,20}$")]],
        msgspec.Meta(description="only the dead letters with these ids"),
    ] = []


class RebuildParams(Params, forbid_unknown_fields=True):
    period: Annotated[Period | None, msgspec.Meta(description="day, week or month; not given: all three")] = None
    day: Annotated[
        date | None, msgspec.Meta(description="a day of the periods, such as 2025-09-02; not given: today")
    ] = msgspec.field(default=None, name="date")
    force: Annotated[
        bool, msgspec.Meta(description="also boards of archived periods, which the server then archives once more")
    ] = False


class PeriodParams(Params, forbid_unknown_fields=True):
    first: Annotated[date, msgspec.Meta(description="the first day, such as 2025-09-02")] = msgspec.field(name="from")
    last: Annotated[date | None, msgspec.Meta(description="the last day; not given: the first")] = msgspec.field(
        default=None, name="to"
    )
    dry_run: Annotated[bool, msgspec.Meta(description="only tell what would change")] = False
    force: Annotated[
        bool, msgspec.Meta(description="also boards of archived periods, which the server then archives once more")
    ] = False


class RetentionParams(Params, forbid_unknown_fields=True):
    dry_run: Annotated[bool, msgspec.Meta(description="only count what would be deleted")] = False


class CardParams(Params, forbid_unknown_fields=True):
    day: Annotated[
        date | None, msgspec.Meta(description="a day of the periods, such as 2025-09-02; not given: today")
    ] = msgspec.field(default=None, name="date")


class PostParams(Params, forbid_unknown_fields=True):
    day: Annotated[
        date | None, msgspec.Meta(description="a day of the week, such as 2025-09-02; not given: last week")
    ] = msgspec.field(default=None, name="date")


class SiteParams(Params, forbid_unknown_fields=True):
    host: Annotated[str, msgspec.Meta(description="the site, such as example.com, or a host of it")]


class Parameter(NamedTuple):
    """`kind` is text, list (texts, divided by commas), date, boolean, or choice: one of `choices`."""

    name: str
    description: str
    kind: Literal["text", "list", "date", "boolean", "choice"]
    required: bool
    choices: Sequence[str] = ()


class TaskEntry(NamedTuple):
    """`help` says what the task does. A task that is not `scheduled` has no setting SCHEDULE_*.

    `cron` is when it runs if that setting does not say otherwise.
    """

    name: str
    help: str
    params: type[Params] = Params
    scheduled: bool = True
    cron: str = ""

    @property
    def schedule_setting(self) -> str:
        """The field of Settings that says when the task runs."""
        return f"schedule_{self.name}"

    @property
    def parameters(self) -> dict[str, str]:
        """{name: description}."""
        return {each.name: each.description for each in self.described}

    @property
    def described(self) -> list[Parameter]:
        components = msgspec.json.schema_components([self.params])[1]
        schema = components[self.params.__name__]
        return [
            _parameter(name, each, name in schema["required"], components)
            for name, each in schema["properties"].items()
        ]


def _parameter(
    name: str, schema: Mapping[str, Any], required: bool, components: Mapping[str, Mapping[str, Any]]
) -> Parameter:
    of_value = schema.get("anyOf", [schema])[0]  # of null or a value, the value
    if reference := of_value.get("$ref"):
        choices = components[reference.rpartition("/")[2]]["enum"]
        return Parameter(name, schema["description"], "choice", required, choices)
    kinds: dict[str, Literal["list", "boolean"]] = {"array": "list", "boolean": "boolean"}
    is_day = of_value.get("format") == "date"
    return Parameter(name, schema["description"], "date" if is_day else kinds.get(of_value["type"], "text"), required)


def in_plain_words(fault: Exception) -> str:
    """What is wrong with a parameter, as msgspec says it: from is missing."""
    text = re.sub(r"Object missing required field `(.+?)`", r"\1 is missing", str(fault))
    text = text.replace("Invalid RFC3339 encoded date", "not a date such as 2025-09-02")
    return re.sub(r"(?s)(.+) - at `\$\.(.+)`", r"\2: \1", text)


TASKS = {
    task.name: task
    for task in (
        TaskEntry("ping", "does nothing; it shows that somebody listens", scheduled=False),
        TaskEntry("reload_patterns", "has every instance load the category patterns within a second or two"),
        TaskEntry("replay_dead_letters", "puts dead letters back on the stream", ReplayParams),
        TaskEntry("reclassify", "asks the LLM now about the messages that it did not answer in time"),
        TaskEntry(
            "repair_field_names",
            "gives documents of earlier versions the field names that Spring's entities have",
            scheduled=False,
        ),
        TaskEntry(
            "reclassify_period",
            "decides again, by the rules of now, what was committed in a period, and recomputes its boards",
            PeriodParams,
            scheduled=False,
        ),
        TaskEntry(
            "apply_retention",
            "deletes dead letters, decided proposals and usage logs of ours that have been kept for long enough",
            RetentionParams,
            cron="40 4 * * *",
        ),
        TaskEntry(
            "apply_corrections",
            "gives what was committed the categories that persons have corrected, and recomputes the boards",
            cron="27 * * * *",
        ),
        TaskEntry("refresh_cards", "makes the focus cards of all users anew", CardParams, cron="0 */2 * * *"),
        TaskEntry(
            "crawl_sites",
            "queues visits to the sites that no rule knows and that SITE_MIN_USERS users had in front",
            cron="17 * * * *",
        ),
        TaskEntry(
            "profile_site",
            "has one site visited, or its page analysed again, and tells what it is",
            SiteParams,
            scheduled=False,
        ),
        TaskEntry(
            "post_cards",
            "posts the best card of the last week to CARD_WEBHOOKS, once",
            PostParams,
            cron="0 9 * * mon",
        ),
        TaskEntry("rebuild_leaderboard", "recomputes the boards of a period from the usage logs", RebuildParams),
    )
}
