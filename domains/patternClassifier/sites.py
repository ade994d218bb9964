"""Known sites: a large table of hosts behind the patterns, which decides only where no pattern does for good.

Its rows come from lists of domains that others keep (`infrastructure/patterns/sites.py`), so they are many and less
sure than patterns that people wrote. A row is a domain, which stands for all below it, or `name.*`: the sites of a
brand in any country (`ebay.*` is ebay.fr and www.ebay.co.jp, but not ebay.dev).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_COUNTRY = re.compile(
    r"(?:.*\.)?([^.]{4,63})\.(?:(?:com?|net|org|ne|or)\.)?"
    r"(?!ai|cc|co|fm|gg|im|io|is|la|ly|me|nu|sh|so|to|tv|ws)[a-z]{2}"  # these say nothing of a country
)


class KnownSite(NamedTuple):
    """A row of the table."""

    domain: str
    category: str


class KnownSites:
    """The table. Immutable; `sites` are the categories by domain, or by `name.*`, in canonical form (`split_url`)."""

    __slots__ = ("_sites",)

    def __init__(self, sites: Mapping[str, str]) -> None:
        self._sites = sites

    def __len__(self) -> int:
        return len(self._sites)

    def find(self, host: str) -> KnownSite | None:
        """The row of a canonical host: that of the longest domain, else of its brand."""
        domain = host
        while domain:
            if (category := self._sites.get(domain)) is not None:
                return KnownSite(domain, category)
            domain = domain.partition(".")[2]
        brand = brand_of(host)
        category = self._sites.get(brand) if brand else None
        return None if category is None else KnownSite(brand, category)


def brand_of(host: str) -> str:
    """`name.*` where the host is `name` below the suffix of a country, or below that; else empty."""
    found = _COUNTRY.fullmatch(host)
    return f"{found[1]}.*" if found else ""
