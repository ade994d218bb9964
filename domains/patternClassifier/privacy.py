"""Private hosts and apps: one list for all code that shows windows to others or learns from them.

The LLM never sees a private window, no pattern is proposed for it, and its site is not looked at.
"""

import ipaddress
import re
from collections.abc import Iterable

from domains.kernel.window import Window
from domains.patternClassifier.urls import split_url
from domains.patternClassifier.words import split_name

PRIVATE_HOSTS = (
    # reserved by RFC 6761, 6762, 7686 and 8375, and by ICANN
    *("localhost", "local", "test", "onion", "arpa", "internal", "corp", "home"),
    # names in use in offices, routers, clusters and overlay networks
    *("localdomain", "intranet", "intra", "private", "lan", "svc", "consul", "i2p", "ts.net", "fritz.box"),
)
"""Private hosts, with all hosts below them.

A host of one label and an IP address that is not public are private, too.
"""

PRIVATE_APPS = (
    *("1Password", "Bitwarden", "KeePass", "KeePassXC", "KeePassDX", "MacPass", "LastPass", "Dashlane", "Enpass"),
    *("NordPass", "RoboForm", "Keeper", "Keeper Password Manager", "Proton Pass", "Strongbox", "Buttercup"),
    *(
        "Password Safe",
        "Sticky Password",
        "Keychain Access",
        "키체인 접근",
        "Passwords",
        "암호",
        "Credential Manager",
    ),
    *("Apple Passwords", "Authy", "Authy Desktop", "Seahorse", "Passwords and Keys", "알패스"),
)
"""Password managers and the like, whose titles are private."""

UNREAL_DOMAINS = frozenset({"example", "invalid"})
"""Reserved by RFC 2606: hosts below them do not exist, so there is nothing to hide and nothing to learn."""

_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_WEB = re.compile(r"\s*https?://", re.IGNORECASE)


class Privacy:
    """The private hosts and apps of a deployment. Immutable.

    `hosts` are hosts (with all below them), addresses and networks (`10.0.0.0/8`), and `apps` whole names of apps.
    They are added to the lists above. Raises ValueError for an invalid host or name, which would protect nothing.
    """

    def __init__(self, hosts: Iterable[str] = (), apps: Iterable[str] = ()) -> None:
        hosts = [*PRIVATE_HOSTS, *hosts]
        self._networks = [network for network in map(_network, hosts) if network]
        self._hosts = frozenset(_folded_host(host) for host in hosts if not _network(host))
        self._apps = frozenset(_folded_app(name) for name in (*PRIVATE_APPS, *apps))

    def is_private(self, window: Window) -> bool:
        host = split_url(window.url)[0]
        odd = not host and _WEB.match(window.url) is not None  # 127.1, 0x7f.1: browsers replace such spellings
        return odd or self.is_private_host(host) or self.is_private_app(window.app)

    def is_private_host(self, host: str) -> bool:
        """Whether a host, as `split_url` returns it, is private. An empty host is not."""
        address = address_of(host)
        if address is not None:
            return not address.is_global or any(address in network for network in self._networks)
        if host and "." not in host:
            return True
        while host and host not in self._hosts:
            host = host.partition(".")[2]
        return bool(host)

    def is_private_app(self, name: str) -> bool:
        """Whether an app's name is private or begins with a private one, before a version or a vault's name, say."""
        words = split_name(name)
        return any(" ".join(words[:end]) in self._apps for end in range(1, len(words) + 1))


def address_of(host: str) -> _IpAddress | None:
    """The IP address that a host as `split_url` returns it is."""
    if not host or not (host[0] == "[" or host[-1].isdigit()):
        return None
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _network(text: str) -> _IpNetwork | None:
    try:
        return ipaddress.ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        return None


def _folded_host(text: str) -> str:
    host = split_url(text.strip().removeprefix("*").lstrip("."))[0]
    if not host:
        raise ValueError(f"{text!r} is no host")
    return host


def _folded_app(text: str) -> str:
    name = " ".join(split_name(text))
    if not name:
        raise ValueError(f"{text!r} is no name of an app")
    return name
