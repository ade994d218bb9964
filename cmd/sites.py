"""Shows what is known of unknown sites, and has them visited; SITE_PROFILES must be on.

python -m cmd.sites COMMAND
"""

from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import note_change, run, running_container, settings_or_exit
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from domains.siteProfile.crawl import Crawled, NoSite
from domains.siteProfile.model import SiteProfile, SiteState, as_json
from infrastructure.observing.readable import counted, duration, in_words, local_time, plain

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__, no_args_is_help=True)


@app.command(name="list")
def list_(
    state: Annotated[list[SiteState] | None, typer.Option(help="only sites in this state; may be repeated")] = None,
    limit: Annotated[int, typer.Option(help="greatest number of sites", min=1)] = 100,
    as_json_: Json = False,
) -> None:
    """Lists sites with their categories, in the order of their names."""
    settings = settings_or_exit()

    async def work() -> None:
        found = list[SiteProfile]()
        async with running_container(settings) as container:
            async for profile in container.site_profiles().find_all(state or list(SiteState)):
                found.append(profile)
                if len(found) >= limit:
                    break
        if as_json_:
            print_json([as_json(profile) for profile in found])
            return
        if found:
            head = ("Site", "State", "Category", "Confidence", "By", "Visited")
            print_tables(
                table(
                    head, [_row(each, settings.zone) for each in found], numbers=("Confidence",), whole=("Visited",)
                )
            )
        say(counted(len(found), "site"))

    run(work)


@app.command()
def show(site: Annotated[str, typer.Argument(help="such as example.co.kr")], as_json_: Json = False) -> None:
    """Shows what a site says of itself, and what was concluded from it. Exit code 1 if nothing is known of it."""
    settings = settings_or_exit()

    async def work() -> int:
        async with running_container(settings) as container:
            profile = (await container.site_profiles().find([site])).get(site)
        if profile is None:
            say(f"nothing is known of {site}", err=True)
            return 1
        if as_json_:
            print_json(as_json(profile))
            return 0
        _, state, category, confidence, _, visited = _row(profile, settings.zone)
        why = f"; {profile.outcome}{f': {profile.detail}' if profile.detail else ''}" if profile.outcome else ""
        say(f"{site}: {state}, visited {visited}{why}")
        if category:
            say(f"{category}, confidence {confidence}")
        evidence = [(each.kind, each.category, f"{each.weight:.2f}", each.found) for each in profile.evidence]
        if evidence:
            print_tables(table(("Evidence", "Category", "Weight", "Found"), evidence, numbers=("Weight",)))
        said = [(name, _text(value)) for name, value in profile.facts.as_document().items() if value]
        if said:
            print_tables(table(("Page", "Says"), said, whole=("Page",)))
        return 0

    run(work)


@app.command()
def crawl(
    hosts: Annotated[list[str] | None, typer.Argument(help="sites to visit; not given: those that users saw")] = None,
    as_json_: Json = False,
) -> None:
    """Queues visits. Exit code 1 if one of the given sites may not be visited."""
    settings = _settings_with_profiles()

    async def work() -> int:
        async with running_container(settings) as container:
            sites, refused = container.site_crawl(), dict[str, str]()
            await container.classifier().load()
            if hosts:
                queued = list[str]()
                for host in hosts:
                    try:
                        queued.append(await sites.request(host))
                    except NoSite as reason:
                        refused[host] = str(reason)
                done: dict[str, object] = {"queued": queued, "refused": refused}
            else:
                done = dict((await sites.run(_tells_nobody))._asdict())
            await note_change(container, "crawl sites", ", ".join(hosts or ()), in_words(done))
        if as_json_:
            print_json(done)
        else:
            say("\n".join(f"{name}: {_text(value)}" for name, value in done.items() if value != {}))
        return 1 if refused else 0

    run(work)


@app.command()
def forget(sites: Annotated[list[str], typer.Argument(help="such as example.co.kr")]) -> None:
    """Removes what is known of sites. That they were visited is remembered: they are not visited again soon."""
    settings = _settings_with_profiles()

    async def work() -> int:
        async with running_container(settings) as container:
            unknown = [site for site in sites if not await container.site_crawl().forget(site)]
            await note_change(container, "forget sites", ", ".join(sites), f"{len(sites) - len(unknown)} forgotten")
        for site in unknown:
            say(f"nothing was known of {site}", err=True)
        say(f"{len(sites) - len(unknown)} forgotten")
        return 1 if unknown else 0

    run(work)


@app.command()
def queues(as_json_: Json = False) -> None:
    """Shows what waits for a visit and for the analysis, for how long, and how many workers there are."""
    settings = settings_or_exit()

    async def figures() -> None:
        async with running_container(settings) as container:
            found = [
                await queue.figures() for queue in (container.sites_new_queue(), container.sites_fetched_queue())
            ]
        if as_json_:
            print_json([asdict(each) for each in found])
            return
        head = ("Queue", "Waiting", "In hand", "Oldest", "Dead letters", "Workers")
        rows = [
            (
                it.queue,
                f"{it.lag}",
                f"{it.pending}",
                duration(it.oldest_seconds),
                f"{it.dead_letters:g}",
                f"{it.workers}",
            )
            for it in found
        ]
        print_tables(table(head, rows, numbers=head[1:], whole=("Queue",)))

    run(figures)


@app.command()
def work(
    drain: Annotated[bool, typer.Option("--drain", help="end when nothing waits any more")] = False,
) -> None:
    """Visits sites and analyses their pages until a signal ends it: for a machine of its own (SITE_WORKERS)."""
    from infrastructure.composition.sites import work_on_sites
    from infrastructure.observing.logs import configure_logging
    from infrastructure.process.signals import stop_on_signals

    settings = _settings_with_profiles()
    configure_logging(settings)

    async def until_stopped() -> None:
        stop = stop_on_signals()
        async with running_container(settings) as container:
            await work_on_sites(container, stop, drain)

    run(until_stopped, at_once=True)


def _settings_with_profiles() -> "Settings":
    settings = settings_or_exit()
    if not settings.site_profiles:
        fail("site profiles are off (SITE_PROFILES)", 2)
    return settings


async def _tells_nobody(state: Crawled) -> None:
    """The command says at its end what it has done."""


def _row(profile: SiteProfile, zone: ZoneInfo) -> tuple[str, str, str, str, str, str]:
    kinds = [each.kind for each in profile.evidence if each.category == profile.category]
    return (
        profile.site,
        profile.state,
        profile.category,
        f"{profile.confidence:.2f}" if profile.evidence else "",
        ", ".join(dict.fromkeys(kinds)),
        local_time(profile.visited_at, zone),
    )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {each}" for name, each in value.items())
    return plain(value)


if __name__ == "__main__":
    app()
