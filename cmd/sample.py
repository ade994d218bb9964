"""Runs the pipeline, publishes a bundled sample week through it, shows its boards, and keeps consuming.

python -m cmd.sample
"""

import asyncio
from cmd._output import progress, say
from cmd._run import run, settings_or_exit
from cmd.leaderboard import print_board
from cmd.stream_consumer import run_pipeline
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated

import typer

from domains.kernel.window import Window
from domains.leaderboard.model import OVERALL_BOARD, Period, board_key
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from infrastructure.composition.container import Container, running_container
from infrastructure.http.server import open_door
from infrastructure.observing.logs import configure_logging, describe_stores
from infrastructure.process.signals import reload_on_signal, stop_on_signals
from infrastructure.sample import SAMPLE_START, SampleSpan, sample_week
from infrastructure.settings import Settings
from infrastructure.spring.message_spelling import spring_fields

_CHUNK = 200
_TOP = 5
_LAST_DAY = SAMPLE_START + timedelta(days=6)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    exit_when_done: Annotated[
        bool, typer.Option("--exit", help="stop after the boards instead of consuming on")
    ] = False,
) -> None:
    """Runs the pipeline and publishes a bundled sample through it: one week of 40 users, once per data directory.

    Then it shows the best of the day, the week and the month, and keeps consuming until Ctrl-C.
    """
    settings = settings_or_exit()
    configure_logging(settings, level="warning")  # the progress bars say what the batches' log lines would
    run(lambda: _run_sample(settings, exit_when_done))


async def _run_sample(settings: Settings, exit_when_done: bool) -> int:
    stop, reload = stop_on_signals(), reload_on_signal()
    say(describe_stores(settings))
    async with AsyncExitStack() as stack:
        container = await stack.enter_async_context(running_container(settings))
        consumers = [part.consumer() for part in container.partitions()]
        door = open_door(container.state(), container.api(), consumers, stop)
        if address := await stack.enter_async_context(door):
            say(f"Watch it in your browser: {address}/?period=week&date={_LAST_DAY}")
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(run_pipeline(container, stop, reload), name="pipeline")
        await _show_sample(container, stop)
        if exit_when_done or stop.is_set():
            stop.set()
        else:
            configure_logging(settings)
            say("\nStill consuming; Ctrl-C stops. In another terminal, for example:")
            say(f"  .venv/bin/python -m cmd.leaderboard Development --period week --date {_LAST_DAY}")
    return 0


async def _show_sample(container: Container, stop: asyncio.Event) -> None:
    spans = list(sample_week())
    publisher, backlog = container.publisher(), container.backlog()
    published = await publisher.published_of_sample()
    if published >= len(spans):
        say(f"The sample's {len(spans)} spans are on the stream already: not published again.")
    with progress() as bars:
        publishing = bars.add_task("published", total=len(spans), completed=published)
        working = bars.add_task("classified", total=len(spans))
        while not stop.is_set():
            if chunk := spans[published : published + _CHUNK]:
                await _publish(container, chunk)
                published += len(chunk)
            waiting = await backlog.uncommitted(at_most=len(spans))
            bars.update(publishing, completed=published)
            bars.update(working, completed=max(0, published - waiting))
            if not chunk:
                if not waiting:
                    break
                await asyncio.sleep(0.05)
    if not stop.is_set():
        await _print_boards(container)


async def _publish(container: Container, spans: list[SampleSpan]) -> None:
    """As Spring does: for a message with ids, both of its documents are there before it is."""
    linked = [span for span in spans if span.categorized_data_id is not None]
    await container.categorized_data().save_all([_data_of(span) for span in linked])
    await container.usage_logs().save_all([_log_of(span) for span in linked])
    await container.publisher().publish_of_sample([_fields_of(span) for span in spans])


def _fields_of(span: SampleSpan) -> dict[str, str]:
    return spring_fields(
        {
            "userId": span.user_id,
            "app": span.app,
            "title": span.title,
            "url": span.url,
            "duration": span.duration,
            "timestamp": span.timestamp,
            "session": span.session,
            "sessionDate": span.session_date.isoformat(),
            "sessionMinutes": span.session_minutes,
            "isEnd": span.is_end,
            "categorizedDataId": span.categorized_data_id,
            "pomodoroUsageLogId": span.pomodoro_usage_log_id,
        }
    )


def _data_of(span: SampleSpan) -> CategorizedData:
    return CategorizedData(str(span.categorized_data_id), Window(span.app, span.url, span.title), None)


def _log_of(span: SampleSpan) -> PomodoroUsageLog:
    return PomodoroUsageLog(
        id=str(span.pomodoro_usage_log_id),
        user_id=span.user_id,
        categorized_data_id=str(span.categorized_data_id),
        category_id=None,
        session=span.session,
        session_minutes=span.session_minutes,
        session_date=span.session_date,
        timestamp=span.timestamp,
        duration=span.duration,
    )


async def _print_boards(container: Container) -> None:
    for period in Period:
        board = board_key(OVERALL_BOARD, period, _LAST_DAY)
        say("")
        print_board(board, period, _LAST_DAY, await container.leaderboard().top(board, _TOP))


if __name__ == "__main__":
    app()
