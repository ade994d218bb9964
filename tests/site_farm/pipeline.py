"""The product in front of the farm: python -m tests.site_farm.pipeline pipeline|work CERTIFICATE FARM_PORT TRAP_PORT.

`pipeline` is what cmd.stream_consumer runs, `work` what cmd.sites work does. Only the fetcher is told that the farm
is the Internet.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from dependency_injector import providers

from domains.kernel.resilience import Breaker
from infrastructure.composition.container import Container, running_container
from infrastructure.composition.pipeline import running_pipeline
from infrastructure.composition.sites import work_on_sites
from infrastructure.observing.logs import configure_logging
from infrastructure.process.signals import reload_on_signal, stop_on_signals
from infrastructure.settings import load_settings
from infrastructure.sites.fetcher import SiteFetcher, user_agent
from infrastructure.sites.turns import Turns
from tests.site_farm.farm import Farm, FarmResolver, client_tls
from tests.site_farm.sites import hostile_sites

_LONGEST_VISIT = 12.0
"""Seconds: longer than a visit here, and shorter than a test wants to wait."""


def fetcher_of(farm: Farm, certificate: Path, shared: Any, choice: Any) -> SiteFetcher:
    turns = Turns(shared, Breaker(lambda is_open, cause: None))
    tls = client_tls((certificate, certificate))
    return SiteFetcher(choice, turns, user_agent("1.0", ""), farm.may_connect, FarmResolver(farm), tls)


async def main(what: str, certificate: str, farm_port: str, trap_port: str) -> None:
    farm = Farm()
    farm.place, farm.trap = ("127.0.0.1", int(farm_port)), ("127.0.0.1", int(trap_port))
    hostile_sites(farm)  # for what their name servers say
    Container.site_fetcher.override(
        providers.Singleton(fetcher_of, farm, Path(certificate), Container.shared_sites, Container.site_choice)
    )
    Container.site_visits.add_kwargs(longest_visit=_LONGEST_VISIT)
    settings = load_settings()
    configure_logging(settings)
    stop = stop_on_signals()
    if what == "work":
        async with running_container(settings) as container:
            await work_on_sites(container, stop)
    else:
        async with running_pipeline(settings, stop, reload_on_signal()):
            pass


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
