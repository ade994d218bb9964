"""Which addresses the fetcher may connect to. It asks at the socket: no name and no redirect gets by."""

import ipaddress
import socket
from collections.abc import Callable

_PORTS = frozenset({80, 443})
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            # of these, some versions of Python say that they are global, or do not look at what they hold
            *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "100.64.0.0/10", "240.0.0.0/4", "0.0.0.0/8"),
            *("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "fc00::/7"),
            *("fe80::/10", "fec0::/10", "ff00::/8", "3fff::/20", "5f00::/16"),
        ),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_6TO4 = ipaddress.ip_network("2002::/16")
_IPV4_BITS = 0xFFFF_FFFF

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[object, ...]]
MayConnect = Callable[[str, int], bool]


class ForbiddenAddress(OSError):
    """A site leads to an address that is not public, or to another port than those of the web."""


def is_public(host: str, port: int) -> bool:
    """Whether an address is one of the public Internet, and the port one of the web.

    An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is as public as that one.
    """
    try:
        address: Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return port in _PORTS and "%" not in host and _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (inside := _ipv4_inside(address)) is not None:
        return _is_public(inside)
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address.version == network.version and address in network for network in _NOT_PUBLIC)


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    if address in _6TO4:
        return ipaddress.IPv4Address(int(address) >> 80 & _IPV4_BITS)
    return None


def guarded_sockets(may_connect: MayConnect) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory for aiohttp's connector, which sees the very address that is about to be connected to."""

    def make_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if len(address) < 2 or not may_connect(str(address[0]), int(str(address[1]))):
            raise ForbiddenAddress(f"{address[0]} port {address[1] if len(address) > 1 else '?'}")
        return socket.socket(family, kind, protocol)

    return make_socket
