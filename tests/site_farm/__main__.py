"""Runs the whole farm as a process of its own: python -m tests.site_farm CERTIFICATE KEY REQUESTS.

Prints the ports of farm and trap, and writes a line "host path" for each request to the file REQUESTS.
"""

import asyncio
import sys
from pathlib import Path

from tests.site_farm.farm import Farm, server_tls
from tests.site_farm.sites import good_sites, hostile_sites, silent_sites


async def main(certificate: Path, key: Path, requests: Path) -> None:
    with requests.open("a", buffering=1) as told:
        farm = Farm(lambda host, path: told.write(f"{host} {path}\n"))
        async with farm.open(server_tls((certificate, key))):
            good_sites(farm, times=2)
            silent_sites(farm)
            hostile_sites(farm)
            print(farm.place[1], farm.trap[1], flush=True)
            await asyncio.Event().wait()


asyncio.run(main(*map(Path, sys.argv[1:])))
