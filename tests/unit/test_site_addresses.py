"""Which addresses the fetcher may connect to."""

import socket

import pytest

from infrastructure.sites.addresses import ForbiddenAddress, guarded_sockets, is_public

PUBLIC = """
    8.8.8.8 1.1.1.1 223.130.195.200 2606:4700::1111 2001:4860:4860::8888 2400:cb00::1
    ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1
"""
NOT_PUBLIC = """
    127.0.0.1 127.1.2.3 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 0.1.2.3 255.255.255.255 240.0.0.1
    224.0.0.1 239.1.1.1 100.64.0.1 192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.170 192.0.2.1 198.51.100.1 203.0.113.1
    198.18.0.1 192.88.99.1 ::1 :: ::7f00:1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:7f00:1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe:: 2001:db8::1 2001::1
    100::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 8.8.8.8%eth0 localhost 127.1 2130706433
"""


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert is_public(address, 443)
    assert is_public(address, 80)


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_no_other_address_may_be(address: str) -> None:
    assert not is_public(address, 443)


@pytest.mark.parametrize("port", [0, 22, 25, 6379, 8080, 27017])
def test_no_other_port_may_be(port: int) -> None:
    assert not is_public("8.8.8.8", port)


def test_a_socket_is_made_for_what_may_be_connected_to_and_for_nothing_else() -> None:
    make = guarded_sockets(is_public)

    make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))).close()
    for address in (("127.0.0.1", 443), ("8.8.8.8", 25), ("/run/docker.sock",)):
        with pytest.raises(ForbiddenAddress):
            make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
