"""The pace of requests, which all instances share."""

import asyncio

from domains.kernel.resilience import Breaker
from domains.siteProfile.ports import SharedSitesPort


class Turns:
    """Waits for the next request's turn, and for the end of an outage: by then a visit may have begun."""

    def __init__(self, shared: SharedSitesPort, breaker: Breaker) -> None:
        self._shared = shared
        self._breaker = breaker

    async def __call__(self) -> None:
        await asyncio.sleep(await self._breaker.run(self._shared.seconds_to_wait))
