"""Who asks, and for which site: the addresses behind proxies, and the host names that are ours."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

from infrastructure.settings import Settings, names_of

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class Peers:
    """What HTTP_TRUSTED_PROXIES and HTTP_ALLOWED_HOSTS say."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = [ip_network(name, strict=False) for name in names_of(settings.http_trusted_proxies)]
        self._hosts = {name.lower() for name in names_of(settings.http_allowed_hosts)}
        self._hosts |= _LOOPBACK_NAMES | {settings.http_host.lower()}
        self._is_any_address_ours = settings.http_host in _ANY_ADDRESS

    def address_of(self, request: web.Request) -> str:
        """Of the client: the last one that a trusted proxy names, else whoever has connected."""
        address = request.remote or ""
        if (connected := _parsed(address)) is not None:
            address = str(connected)  # an IPv4 address as such, also where one socket serves both families
        named = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        while self.is_proxy(address) and named and (before := _parsed(named.pop())) is not None:
            address = str(before)
        return address

    def is_proxy(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._proxies)

    def refuse_other_hosts(self, request: web.Request) -> None:
        """Raises 421 where the request names a host that is not ours.

        Otherwise a page of another site could read what is here, by having its own name resolve to our address. An
        address as such cannot be used so, and is ours where HTTP_HOST stands for all addresses.
        """
        name = _host_name(request.headers.get("Host", ""))
        if not name or name in self._hosts or "*" in self._hosts:
            return
        if self._is_any_address_ours and _parsed(name) is not None:
            return
        raise web.HTTPMisdirectedRequest(text="HTTP_ALLOWED_HOSTS does not have this host")


def _host_name(host: str) -> str:
    """Without the port, and an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """The address without a port; None where it is none."""
    text = address.strip()
    if text.startswith("[") or text.count(":") == 1:
        text = _host_name(text)
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
