"""Addresses of both versions are found with their prefix length; versions, times and code are none."""

import pytest

from headrace_workers.data.entities import ip_address
from tests.workers.data.entities.found import found


@pytest.mark.parametrize(
    "address",
    ["192.0.2.7", "10.0.0.0/8", "255.255.255.255", "0.0.0.0", "2001:db8::1", "2001:db8:0:0:0:0:2:1", "::1", "fe80::1%eth0", "2001:db8::/32", "::ffff:192.0.2.7", "FE80::ABCD:12"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["{}", "from {}, again", "({})", "at {} 12:30:45."])
def test_an_address_is_found(address: str, text: str) -> None:
    """Alone and in a sentence."""
    assert found(ip_address, text.format(address)) == [address]


@pytest.mark.parametrize(
    "text",
    ["1.2.3", "256.1.1.1", "1.2.3.4.5", "v1.2.3.4", "version 10.0.0.1", "Release: 4.18.0.1", "10.0.19045.3448", "01.02.03.04", "12:30:45", "08:00:2b:01:02:03", "std::vector", "add::face", "a :: b", "1:2:3:4:5:6:7:8:9", "::"],
)  # fmt: skip
def test_what_is_no_address_stays(text: str) -> None:
    """Versions, numbers above 255, times, hardware addresses, names in code."""
    assert found(ip_address, text) == []


@pytest.mark.parametrize("text", ["{},{}", "{}-{}", "{}, {}", "{};{}", "1,{},2,{}"])
@pytest.mark.parametrize("pair", [("192.0.2.7", "10.0.0.1"), ("2001:db8::1", "fe80::2")])
def test_lists_and_ranges_are_addresses(text: str, pair: tuple[str, str]) -> None:
    """Each of them, whatever stands between."""
    assert found(ip_address, text.format(*pair)) == list(pair)


def test_addresses_come_in_the_order_of_the_text() -> None:
    """Of both versions, mixed."""
    assert found(ip_address, "2001:db8::1 192.0.2.7 ::1 10.0.0.1") == ["2001:db8::1", "192.0.2.7", "::1", "10.0.0.1"]
