"""Which sites may be looked at: registrable domains of public hosts that no rule knows."""

from collections import OrderedDict

from domains.kernel.window import Window
from domains.patternClassifier.model import Doubt
from domains.patternClassifier.privacy import UNREAL_DOMAINS, Privacy, address_of
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.urls import split_url
from domains.siteProfile.ports import RegistrableDomainsPort

_REMEMBERED = 20_000
_SAYS_NOTHING_OF_SITE = frozenset({None, Doubt.BROWSER, Doubt.HOST})


class SiteChoice:
    """Finds the site of a window, if it may be looked at. Of a window, nothing but its site is told."""

    def __init__(self, domains: RegistrableDomainsPort, privacy: Privacy) -> None:
        self._domains = domains
        self._privacy = privacy
        self._sites: OrderedDict[str, str] = OrderedDict()

    def site_of(self, window: Window) -> str:
        """The public site that the window shows; empty where it shows none, or may not be told of."""
        host = split_url(window.url)[0] if window.url else ""
        if not host or self._privacy.is_private_app(window.app):
            return ""
        if (site := self._sites.get(host)) is None:
            site = self._sites[host] = self.site_of_host(host)
            if len(self._sites) > _REMEMBERED:
                self._sites.popitem(last=False)
        return site

    def site_of_host(self, host: str) -> str:
        """The same of a canonical host."""
        if address_of(host) or "." not in host or host.rpartition(".")[2] in UNREAL_DOMAINS:
            return ""
        site = self._domains.of(host)
        private = self._privacy.is_private_host
        return "" if not site or private(host) or private(site) else site


def rules_know(rules: RuleSet, site: str) -> bool:
    """Whether a rule says anything of the site, be it provisionally."""
    return rules.match("", f"https://{site}/") is not None


def rules_leave_open(rules: RuleSet, window: Window) -> bool:
    """Whether the rules say nothing of what the window shows, beyond the browser or process that shows it."""
    match = rules.match(window.app, window.url, window.title)
    return match is None or (match.doubt is not None and match.doubt in _SAYS_NOTHING_OF_SITE)
