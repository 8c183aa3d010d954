"""Addresses, as they are written and as they are taken."""

import socket

import pytest

from processing_service.wire.addresses import fault_of, why_taken


@pytest.mark.parametrize("address", ["localhost:0", "[::1]:65535", "example.org:1", "unix:s", "dns:///host:1"])
def test_what_is_an_address(address):
    """Hosts with a port, files, and what gRPC resolves."""
    assert fault_of(address) == ""


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("foo", "'foo' is neither host:port nor unix:path"),
        ("http://host:1/", "'http://host:1/' is a URL; write host:port, as host:1"),
        ("host:99999", "'host:99999' has no port that can be: '99999' is not a number from 0 to 65535"),
        ("host:http", "'host:http' has no port that can be: 'http' is not a number from 0 to 65535"),
        ("unix:", "'unix:' names no file; write unix:path"),
    ],
)
def test_what_is_none(address, fault):
    """Each is told what is wrong with it."""
    assert fault_of(address) == fault


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_that_is_taken(host):
    """Whoever listens on one of the addresses of a host has it; afterwards it is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
        taken = why_taken(address)

    assert taken == "is another server using it?"
    assert why_taken(address) == ""


def test_a_host_that_is_not_known():
    """Names that lead nowhere are told as such."""
    assert "the host is not known" in why_taken("no.such.host.invalid:1")
