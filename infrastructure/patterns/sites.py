"""The shipped table of known sites (`sites.txt`), and how it is made of a list of labelled domains.

The table is text: comments that begin with `#`, then for each category `[its name]` and its rows, sorted, a row a
line (see `domains/patternClassifier/sites.py` for what a row says). `compile_sites` makes it of lines
`domain<TAB>category<TAB>list` and leaves out what is known better, doubtful or nobody's page:

| what                                                  | becomes                                                  |
|-------------------------------------------------------|----------------------------------------------------------|
| a list whose domains the patterns know as another     | all of the list gets the patterns' category: a brand's   |
| category, more often than as that of the list         | domains are one thing                                    |
| a list of a whole category (`category-…`) that the    | nothing: it means something else by its category         |
| patterns contradict in over a third of its domains    |                                                          |
| a domain that a pattern decides, for good             | nothing                                                  |
| a domain below which strangers put their sites        | nothing: it says nothing of what is below it             |
| lists of `LEFT_OUT`                                   | nothing: see there                                       |
| a name below the suffixes of three countries          | `name.*`                                                 |
| a suffix of schools and universities (`SCHOOLS`)      | a row of its own, which no list has                      |
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from domains.categoryPattern.model import PATTERN_CATEGORIES, CategoryPattern
from domains.patternClassifier.sites import KnownSites, brand_of
from domains.patternClassifier.urls import parse_pattern, split_url

SITES = Path(__file__).parent / "sites.txt"

HOSTING = frozenset(
    (
        *("github.io", "gitlab.io", "codeberg.page", "pages.dev", "workers.dev", "vercel.app", "now.sh"),
        *("netlify.app", "netlify.com", "herokuapp.com", "fly.dev", "web.app", "firebaseapp.com", "ngrok.io"),
        *("ngrok.app", "ngrok-free.app", "ngrok.dev", "trycloudflare.com", "surge.sh", "glitch.me"),
        *("onrender.com", "repl.co", "replit.app", "replit.dev", "deno.dev", "r2.dev", "cloudfront.net"),
        *("amazonaws.com", "azurewebsites.net", "windows.net", "webflow.io", "framer.website", "framer.app"),
        *("framer.ai", "imweb.me", "wixsite.com", "weebly.com", "squarespace.com", "strikingly.com"),
        *("mystrikingly.com", "tilda.ws", "sxl.cn", "carrd.co", "notion.site", "oopy.io", "super.site"),
        *("blogspot.com", "wordpress.com", "tumblr.com", "tistory.com", "pixnet.net", "substack.com", "ghost.io"),
        *("medium.com", "hatenablog.com", "livejournal.com", "readthedocs.io", "gitbook.io", "itch.io"),
        *("jfrog.io", "myshopify.com", "shopify.com", "cafe24.com", "discourse.group", "zendesk.com"),
        *("canva.site", "myportfolio.com", "cargo.site", "softr.app", "bubbleapps.io", "streamlit.app"),
        *("hf.space", "ipfs.io", "dweb.link", "cf-ipfs.com", "cloudflare-ipfs.com"),
    )
)
"""Hosts below which strangers put their sites."""

SCHOOLS = (
    *("edu", "hs.kr", "ms.kr", "es.kr", "sc.kr", "k12.tr", "sch.uk", "sch.id", "ac.kr", "ac.jp", "ac.uk"),
    *("ac.nz", "ac.in", "ac.id", "ac.il", "ac.th", "ac.za", "ac.at", "ac.be", "ac.ir", "ac.cn", "ac.bd"),
    *("ac.lk", "ac.ke", "ac.tz", "ac.ug", "ac.ma", "ac.rs", "ac.cr", "ac.ae", "edu.cn", "edu.tw", "edu.hk"),
    *("edu.sg", "edu.au", "edu.br", "edu.mx", "edu.tr", "edu.vn", "edu.my", "edu.ph", "edu.pk", "edu.sa"),
    *("edu.eg", "edu.co", "edu.pe", "edu.ar", "edu.pl", "edu.ua", "edu.gr", "edu.it", "edu.es", "edu.in"),
    *("edu.bd", "edu.np", "edu.lk", "edu.kw", "edu.jo", "edu.lb", "edu.ng", "edu.gh", "edu.mo", "edu.ge"),
    *("edu.kz", "edu.ec", "edu.uy", "edu.py", "edu.bo", "edu.ve", "edu.do", "edu.gt", "edu.sv", "edu.qa"),
    *("edu.om", "edu.iq", "edu.af", "edu.kh"),
)
"""Suffixes under which only schools and universities can register."""

LEFT_OUT = {
    "adobe-activation": "hosts of licence servers, which nobody visits",
    "wisekey": "makes security hardware, and is listed as finance",
    "amp": "a cache, which shows the pages of others",
    "ngrok": "shows the servers of others",
}
"""Lists that a sample showed to be of no use, with the reason."""


class SitesFileError(Exception):
    """The file is not of the form; the text names the line."""


class Labelled(NamedTuple):
    """A line of the source."""

    domain: str
    category: str
    list: str


def known_sites(path: Path = SITES) -> KnownSites:
    """The shipped table."""
    sites: dict[str, str] = {}
    category = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            category = line[1:-1]
        elif line and line[0] != "#":
            sites[line] = category
    return KnownSites(sites)


def compile_sites(text: str, patterns: Sequence[CategoryPattern]) -> str:
    """The table made of a source, with the source's comments. `patterns` know better. Raises SitesFileError."""
    comments = [line for line in text.splitlines() if line.startswith("#")]
    hosts = _hosts(patterns)
    rows = _trusted(list(_rows(text)), hosts)
    sites = {row.domain: row.category for row in rows if row.domain not in HOSTING}
    brands = _brands({**sites, **hosts})
    by_category: defaultdict[str, list[str]] = defaultdict(list)
    for domain, category in sites.items():
        if _above(domain, hosts) != category and brands.get(brand_of(domain)) != category and domain not in hosts:
            by_category[category].append(domain)
    for brand, category in brands.items():
        by_category[category].append(brand)
    by_category["Education"] += SCHOOLS
    blocks = [
        f"[{category}]\n" + "".join(f"{row}\n" for row in sorted(by_category[category]))
        for category in sorted(by_category)
    ]
    return "".join(f"{comment}\n" for comment in comments) + "".join(blocks)


def _rows(text: str) -> Iterator[Labelled]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != len(Labelled._fields) or fields[1] not in PATTERN_CATEGORIES:
            raise SitesFileError(f"line {number}: not domain, category and list, divided by tabs")
        domain, path = split_url(fields[0])
        if "." not in domain or path:
            raise SitesFileError(f"line {number}: {fields[0]!r} is no domain")
        yield Labelled(domain, fields[1], fields[2])


def _hosts(patterns: Iterable[CategoryPattern]) -> dict[str, str]:
    """The categories of the hosts that patterns name without a path."""
    hosts = {}
    for pattern in patterns:
        for text in pattern.domain_patterns:
            try:
                parsed = parse_pattern(text)
            except ValueError:
                continue
            if parsed.host and not parsed.path:
                hosts[parsed.host] = pattern.category
    return hosts


def _trusted(rows: Sequence[Labelled], hosts: dict[str, str]) -> Iterator[Labelled]:
    """The rows of lists that can be trusted, with the category that the patterns give to their domains."""
    by_list: defaultdict[str, list[Labelled]] = defaultdict(list)
    for row in rows:
        by_list[row.list].append(row)
    for name, members in by_list.items():
        known = Counter(hosts[row.domain] for row in members if row.domain in hosts)
        if name in LEFT_OUT:
            continue
        if name.startswith("category-"):
            right = sum(hosts.get(row.domain) == row.category for row in members)
            if (known.total() - right) * 3 <= known.total():
                yield from members
            continue
        usual, count = known.most_common(1)[0] if known else ("", 0)
        for row in members:
            yield row._replace(category=usual) if count > known[row.category] else row


def _brands(sites: dict[str, str]) -> dict[str, str]:
    """Names that have the same category below the suffixes of at least three countries."""
    categories: defaultdict[str, list[str]] = defaultdict(list)
    for domain, category in sites.items():
        brand = brand_of(domain)
        if brand and domain.startswith(brand[:-1]):
            categories[brand].append(category)
    return {brand: found[0] for brand, found in categories.items() if len(found) >= 3 and len(set(found)) == 1}


def _above(domain: str, hosts: dict[str, str]) -> str | None:
    while domain:
        if domain in hosts:
            return hosts[domain]
        domain = domain.partition(".")[2]
    return None
