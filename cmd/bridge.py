"""Brings what other trackers recorded to the collector.

python -m cmd.bridge activitywatch --user ID
"""

from __future__ import annotations

from cmd._output import Json, fail, print_json, progress, say
from cmd._run import run, settings_or_exit
from getpass import getuser
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.observing.readable import counted, local_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from infrastructure.activitywatch.bridge import Bridge, Bridged, Source

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_NOTHING = "there are no windows, or their session may still go on"


def _address(value: str) -> str:
    if not value.lower().startswith(("http://", "https://")):
        raise typer.BadParameter(f"{value}: no address such as http://localhost:8090")
    return value


@app.callback()
def main() -> None:
    """Brings what other trackers recorded to the collector."""


@app.command()
def activitywatch(
    file: Annotated[Path | None, typer.Option(help="an export of all buckets in place of the server")] = None,
    server: Annotated[
        str, typer.Option(help="address of the ActivityWatch server", callback=_address)
    ] = "http://localhost:5600",
    server_key: Annotated[
        str | None,
        typer.Option(help="that server's api_key, if it has one", envvar="ACTIVITYWATCH_KEY", show_envvar=True),
    ] = None,
    host: Annotated[str | None, typer.Option(help="only the recordings of this machine")] = None,
    days: Annotated[float, typer.Option(help="how far to go back, in days", min=0.01, max=10_000)] = 30.0,
    session_gap: Annotated[float, typer.Option(help="a pause of more seconds ends a session", min=60.0)] = 900.0,
    collector: Annotated[
        str, typer.Option(help="address of the collector", callback=_address)
    ] = "http://localhost:8090",
    user: Annotated[
        str | None,
        typer.Option(
            help="the id of the user whose recordings these are; not given: the token's, or your login name"
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="the client's token", envvar="COLLECT_TOKEN", show_envvar=True)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="post nothing")] = False,
    as_json: Json = False,
) -> None:
    """Posts the windows that ActivityWatch recorded while somebody was there, with the URLs of browser tabs.

    It notes in DATA_DIR which times are posted, and posts what there is of others, later or earlier, so it can be run
    again and again. A session is over when nobody was there for --session-gap seconds; the one that may still go on
    waits for the next run.

    Exit codes: 0 done, 1 a server does not answer or refuses, 2 wrong arguments.
    """
    settings = settings_or_exit()
    if file is not None and (file.is_dir() or not file.exists()):
        fail(f"{file}: no such file", 2)
    begun = time() - days * 86_400

    async def work() -> None:
        import aiohttp

        from domains.bridge.activity import Interval
        from infrastructure.activitywatch import bridge, posting, recordings

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            if file is not None:
                sources = bridge.sources_of_file(file)
            else:
                aw = recordings.ActivityWatchServer(session, server, server_key)
                sources = await bridge.sources_of_server(aw, Interval(begun, time()))
            sources = {name: source for name, source in sources.items() if host in (None, name)}
            if not sources:
                fail("there are no recordings of windows" + (f" of {host}" if host else ""), 1)
            client = None if dry_run else posting.CollectorClient(session, collector, token)
            noted = posting.Progress(settings.data_dir / "bridge-activitywatch.json")
            user_id, longest = user or _user_of(token), settings.max_duration
            made = bridge.Bridge(client, noted, user_id, settings.zone, session_gap, longest)
            _show(await _bridged(made, sources, as_json), dry_run, as_json, settings.zone)

    run(work)


def _user_of(token: str | None) -> str:
    from infrastructure.collector.tokens import named_user

    return (named_user(token) if token else None) or getuser()


async def _bridged(bridge: Bridge, sources: Mapping[str, Source], as_json: bool) -> dict[str, Bridged]:
    done: dict[str, Bridged] = {}
    with progress(as_json) as bar:
        for host, source in sources.items():
            task = bar.add_task(host, total=None)
            async for state in bridge.run(host, source):
                done[host] = state
                bar.update(task, completed=state.spans)
    return done


def _show(done: dict[str, Bridged], dry_run: bool, as_json: bool, zone: ZoneInfo) -> None:
    if as_json:
        print_json({"dryRun": dry_run, "hosts": {name: it._asdict() for name, it in done.items()}})
        return
    verb = "would be posted" if dry_run else "posted"
    for name, it in done.items():
        if not it.spans:
            why = f"everything up to {local_time(it.until, zone)} is posted already" if it.until else _NOTHING
            say(f"{name}: nothing to post: {why}")
            continue
        spans, sessions = counted(it.spans, "span"), counted(it.sessions, "session")
        say(f"{name}: {spans} in {sessions} {verb}, {it.seconds / 3600:.1f} h in all")


if __name__ == "__main__":
    app()
