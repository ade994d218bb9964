"""The rules: an immutable snapshot of all patterns, which decides a window in microseconds.

What decides, the first row that applies for good; where none does, the first that applies provisionally:

| # | what matches                          | among several of them                                          |
|---|---------------------------------------|----------------------------------------------------------------|
| 1 | the app's name, of any app but those  | the pattern with more words                                    |
|   | of row 6                              |                                                                |
| 2 | the URL: a host, or a host and path   | the longer host, then the longer path                          |
| 3 | the URL: a token in host or path      | the longer token                                               |
| 4 | the URL: a host of the table of known | the longer host, which is below that of a provisional pattern  |
|   | sites (`sites.py`)                    | of row 2                                                       |
| 5 | the title, of a window of row 6       | its last segment; without one that is known, the first         |
| 6 | the name of a browser, or of a        | the pattern with more words                                    |
|   | process that hosts other apps         |                                                                |
| - | equally specific patterns             | lower priority (None last), then category, then pattern, then  |
|   |                                       | document id: never the order of documents in the collection    |
| 7 | nothing                               | None: the tiers behind the rules decide                        |

Only browsers report URLs, so an app that is known and is none is in front of whatever URL is told beside it. A URL
counts all the same where no rule knows the app: it may be a browser. The name of an installed web app that is an
address (`web_apps.py`) is read as a URL. A title is read in browsers and installed web apps, where it ends in the
name of a site, and in the processes that host other apps, where it ends in the name of an app.

A match is provisional where the pattern cannot know, which holds only if no tier behind the rules knows better:

| doubt   | whose                                                         | where                             |
|---------|---------------------------------------------------------------|-----------------------------------|
| browser | app patterns of the category `Browsing`                       | a URL or a title is there         |
| host    | provisional app patterns of other categories                  | a title is there                  |
| parent  | host patterns of `Browsing`; those below whose host there are | a subdomain that no pattern names |
|         | patterns of `PORTAL_CATEGORIES` other categories; and what    | (`m`, `www`, `en` and the like do |
|         | is below the host of a provisional `*.host`                   | not count)                        |
| title   | other provisional domain and title patterns                   | the title says more than the name |
|         |                                                               | of the site                       |

Provisional patterns are those of additions (`CategoryPattern.provisional`), and the patterns of the collection, of
whatever category, that say the same as one of them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from domains.categoryPattern.model import BROWSING, FILE_MANAGEMENT, CategoryPattern
from domains.patternClassifier.model import Doubt, RuleMatch, Tier
from domains.patternClassifier.rule_index import Rule, RuleIndex, host_of
from domains.patternClassifier.sites import KnownSites
from domains.patternClassifier.titles import NO_TITLE, Title, split_title
from domains.patternClassifier.trie import Found
from domains.patternClassifier.urls import split_url
from domains.patternClassifier.web_apps import address_of, is_web_app

Key = TypeVar("Key")
Value = TypeVar("Value")

_MEMO_ENTRIES = 32_768
_MEMO_CHARACTERS = 512  # of a key, so a hostile sender cannot fill the memory
_UNKNOWN: Any = object()
_OWN_PAGE = re.compile(r"(?:about|arc|brave|chrome|edge|opera|vivaldi|whale):(?!reader)", re.IGNORECASE)
"""A page of the browser itself: `chrome://newtab`, `about:preferences`."""
_SAME_SITE = frozenset(
    re.findall(
        r"\S+",
        """www www1 www2 www3 m n mobile touch amp wap web old new beta global international edition world english
        ar au br ca cn cz da de el en es fi fr gb he hi hk hu id in it ja jp ko kr mx nl no pl pt ro ru sk sv th tr tw
        ua uk us vi vn zh""",
    )
)
"""Labels before a host that name no other site: the same one for phones, or in another language."""
_BROWSING_TOO = frozenset({"map", "maps", "news", "search", "weather"})
"""Labels that are themselves what `Browsing` is."""


class _Open(NamedTuple):
    """What app and URL say of a window whose title has to be read as well.

    `below`: the URL's host is a site below that of the pattern, and no pattern names it.
    """

    app: Rule | None
    url: Rule | None = None
    below: bool = False
    untitled: RuleMatch | None = None
    """What decides without a title."""


class RuleSet:
    """The patterns of one moment. Built once and swapped as a whole; reading it from any thread is safe.

    `additions` say what the collection cannot: names of sites in titles, what is provisional, and further patterns
    (see `rule_index.py` for who wins). `sites` stand behind all patterns.
    """

    __slots__ = ("_index", "_names", "_pages", "_windows", "problems", "size")

    def __init__(
        self,
        patterns: Sequence[CategoryPattern],
        additions: Iterable[CategoryPattern] = (),
        sites: KnownSites | None = None,
    ) -> None:
        self._index = RuleIndex(patterns, additions, sites)
        self._windows: dict[tuple[str, str], RuleMatch | _Open | None] = {}
        self._pages: dict[tuple[str, str, str], RuleMatch | None] = {}
        self._names: dict[str, Rule | None] = {}
        self.problems = tuple(self._index.problems)
        self.size = self._index.size

    def match(self, app: str, url: str, title: str = "") -> RuleMatch | None:
        """The rule that decides this window, for good or provisionally, or None. Never raises, whatever the text."""
        window = (app, url)
        found: RuleMatch | _Open | None = self._windows.get(window, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._without_title(app, url)
            if len(app) + len(url) <= _MEMO_CHARACTERS:
                _remember(self._windows, window, found)
        if not isinstance(found, _Open):
            return found
        if not title:
            return found.untitled
        page = (app, url, title)
        decided: RuleMatch | None = self._pages.get(page, _UNKNOWN)
        if decided is _UNKNOWN:
            decided = self._with_title(found, url, title)
            if len(app) + len(url) + len(title) <= _MEMO_CHARACTERS:
                _remember(self._pages, page, decided)
        return decided

    def needs_no_title(self, app: str, url: str) -> bool:
        """Whether `match` has lately found that app and URL decide alone."""
        return isinstance(self._windows.get((app, url)), RuleMatch)

    def candidates(self, app: str, url: str, title: str = "") -> list[RuleMatch]:
        """All rules that match this window, the one that decides first, the others by the rows of the table."""
        opened = self._without_title(app, url)
        by_app = self._app_rule(app)
        page, titles = self._read(by_app, title) if isinstance(opened, _Open) else (NO_TITLE, [])
        more = _says_more(page, titles)
        host, path = self._place(by_app, app, url)
        places = self._index.urls.find(host, path)
        urls = [rule.under(_doubt_of_site(rule, _is_below(host, rule), more)) for rule in places]
        if (site := self._index.site(host, places[0] if places else None)) is not None:
            urls.append(site)
        apps = [rule.under(_doubt_of_app(rule, url, page)) for rule in self._index.apps.find(app)]
        rows = [*apps, *urls] if by_app is not None and not by_app.doubts else [*urls, *titles, *apps]
        best = self.match(app, url, title)
        if best is None:
            return []
        place = next(n for n, rule in enumerate(rows) if rule._replace(doubt=best.doubt) == best)
        return [best, *rows[:place], *rows[place + 1 :]]

    def read_title(self, app: str, url: str, title: str) -> Title | None:
        """The title as it was read; None where app and URL decide without it."""
        window = self._without_title(app, url)
        return self._read(window.app, title)[0] if isinstance(window, _Open) else None

    def is_browser(self, app: str) -> bool:
        rule = self._app_rule(app)
        return rule is not None and Doubt.BROWSER in rule.doubts

    def read_name(self, app: str) -> dict[str, Found[Rule]]:
        """{pattern: how the app's name was read} of the app patterns that match it."""
        return {found.value.match.pattern: found for found in self._index.apps.explained(app)}

    def near_names(self, app: str) -> list[tuple[RuleMatch, Found[Rule]]]:
        """App patterns that only begin the name, however it is read; the longest first."""
        return [(found.value.match, found) for found in self._index.apps.near(app)]

    def _without_title(self, app: str, url: str) -> RuleMatch | _Open | None:
        by_app = self._app_rule(app) if app else None
        if by_app is not None and not by_app.doubts:
            return by_app.match
        host, path = self._place(by_app, app, url)
        by_url = self._index.urls.best(host, path)
        below = by_url is not None and _is_below(host, by_url)
        if by_url is not None and not below and Doubt.TITLE not in by_url.doubts:
            return by_url.match
        if (by_url is None or below) and (site := self._index.site(host, by_url)) is not None:
            return site
        if by_url is not None:
            opened = _Open(by_app, by_url, below)
        elif by_app is None:
            return _Open(None) if url or is_web_app(app) else None
        elif Doubt.BROWSER in by_app.doubts and _OWN_PAGE.match(url):
            return by_app.match
        else:
            opened = _Open(by_app)
        return opened._replace(untitled=self._with_title(opened, url, ""))

    def _place(self, by_app: Rule | None, app: str, url: str) -> tuple[str, str]:
        """Host and path of the URL; without one, of the address that the name of an installed web app is."""
        return split_url(url or (address_of(app) if by_app is None else ""))

    def _with_title(self, window: _Open, url: str, title: str) -> RuleMatch | None:
        by_app, by_url, below, _ = window
        page, named = self._read(by_app, title)
        found = by_url and by_url.under(_doubt_of_site(by_url, below, _says_more(page, named)))
        for match in named:
            if found is None or (found.doubt and not match.doubt):
                found = match
        if by_app is not None and (found is None or found.doubt):
            doubt = _doubt_of_app(by_app, url, page)
            if found is None or not doubt:
                found = by_app.under(doubt)
        return found

    def _read(self, by_app: Rule | None, title: str) -> tuple[Title, list[RuleMatch]]:
        """A title, and the rules that match it: of sites, or in a process that hosts other apps, of these."""
        if not title:
            return NO_TITLE, []
        page = split_title(title, self._is_browser)
        if by_app is None or Doubt.HOST not in by_app.doubts:
            return page, self._sites(page)
        whole = split_title(title, lambda segment: False)
        named = self._app_rule(whole.segments[-1]) if whole.segments else None
        if named is None or Doubt.HOST in named.doubts:
            return whole, []
        if Doubt.BROWSER in named.doubts:
            return page, [*self._sites(page), named.under(Doubt.BROWSER if page.segments else None, Tier.TITLE)]
        return whole, [named.under(None, Tier.TITLE)]

    def _sites(self, page: Title) -> list[RuleMatch]:
        more = len(page.segments) > 1
        found = [rule.under(_doubt_of_site(rule, False, more)) for rule in self._index.titles.find(page)]
        if found or not (address := page.address):
            return found
        host, path = split_url(address)
        by_url = self._index.urls.best(host, path)
        if by_url is None or not host_of(by_url):  # a word of a URL may well be a word of a title
            return []
        return [by_url.under(_doubt_of_site(by_url, _is_below(host, by_url), more), Tier.TITLE)]

    def _is_browser(self, segment: str) -> bool:
        return segment.partition(" ")[0] in self._index.browser_words and self.is_browser(segment)

    def _app_rule(self, app: str) -> Rule | None:
        # Remembered by itself: a browser shows a thousand URLs under one name.
        found: Rule | None = self._names.get(app, _UNKNOWN)
        if found is _UNKNOWN:
            found = next(self._index.apps.find(app), None)
            if len(app) <= _MEMO_CHARACTERS:
                _remember(self._names, app, found)
        return found


def _says_more(page: Title, named: Sequence[RuleMatch]) -> bool:
    """Whether a title says more than the name of its site."""
    return len(page.segments) > len(named[:1])


def _doubt_of_site(rule: Rule, below: bool, says_more: bool) -> Doubt | None:
    if below:
        return Doubt.PARENT
    return Doubt.TITLE if says_more and Doubt.TITLE in rule.doubts else None


def _doubt_of_app(rule: Rule, url: str, page: Title) -> Doubt | None:
    """A name is all there is to know where nothing else is told. A file manager's title is the folder's name."""
    if Doubt.BROWSER in rule.doubts:
        return Doubt.BROWSER if url or page.segments else None
    if len(page.segments) > (rule.match.category == FILE_MANAGEMENT):
        return Doubt.HOST
    return None


def _is_below(host: str, rule: Rule) -> bool:
    """Whether a host is that of another site, below the host of a rule that does not speak for it."""
    if Doubt.PARENT not in rule.doubts:
        return False
    labels = host[: -len(host_of(rule))].split(".")
    same = _SAME_SITE | _BROWSING_TOO if rule.match.category == BROWSING else _SAME_SITE
    return any(label not in same for label in labels if label)


def _remember(memo: dict[Key, Value], key: Key, found: Value) -> None:
    # Emptying it now and then costs less than keeping an order of use on every hit.
    if len(memo) >= _MEMO_ENTRIES:
        memo.clear()
    memo[key] = found
