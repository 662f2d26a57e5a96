"""A URL has one reading; addresses that are not the public internet are told by name."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.outgoing.addresses import SPECIAL, allowed, refusal, special
from sapwood.outgoing.urls import follow, normal, target


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("HTTP://Docs.Example", "http://docs.example/"),
        ("https://docs.example:443/a/../b?q=1#top", "https://docs.example/a/../b?q=1"),
        ("http://docs.example:8080/", "http://docs.example:8080/"),
        ("http://docs.example./x", "http://docs.example/x"),
        ("http://文档.example/说明?词=水", "http://xn--7dvp7d.example/%E8%AF%B4%E6%98%8E?%E8%AF%8D=%E6%B0%B4"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://ｄｏｃｓ．ｅｘａｍｐｌｅ/", "http://docs.example/"),
        ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/"),
    ],
)
def test_a_url_has_one_spelling(written, read):
    assert target(written).url == read
    assert target(read).url == read


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://a.example/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("a.example/x", "only http and https"),
        ("http://good.example@127.0.0.1/", "user name"),
        ("http://good.example:80@127.0.0.1/", "user name"),
        ("http://good.example\\@127.0.0.1/", "backslash"),
        ("http://127.0.0.1\t/", "control character"),
        ("http://a.example/x y", "blank"),
        ("http://a.example:99999/", "no URL"),
        ("http://a.example:0/", "port 0"),
        ("http:///x", "no host name"),
        ("http://-a.example/", "no host name"),
        ("http://a..example/", "no host name"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://%6c%6fcalhost/", "percent"),
        ("http://[::1/", "no URL"),
        ("http://1.2.3.4.5/", "no address"),
        ("http://a.example/" + "x" * 9000, "the limit is 8000"),
    ],
)
def test_what_cannot_be_read_strictly_is_refused_with_the_reason(url, why):
    with pytest.raises(InputError, match=why):
        target(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1", "0177.0.0.01", "0X7F.1", "２１３０７０６４３３"]
)
def test_every_other_spelling_of_loopback_is_named(host):
    with pytest.raises(InputError, match=r"another spelling of 127\.0\.0\.1, a loopback address"):
        target(f"http://{host}/")


@given(st.integers(0, 2**32 - 1))
def test_no_number_passes_as_a_host_unless_it_is_a_plain_quad(number):
    quad = str(IPv4Address(number))
    assert target(f"http://{quad}/").host == quad
    for spelling in (str(number), hex(number), f"0{number:o}", quad.replace(".", ".0x", 1)):
        if spelling != quad:
            with pytest.raises(InputError):
                target(f"http://{spelling}/")


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.1.2", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.100.100.200", "metadata"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("169.254.1.1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "metadata"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b:1::1", "private"),
        ("2002:7f00:1::", "tunnel"),
        ("2001:0:1::1", "tunnel"),
        ("fe80::1", "link-local"),
        ("fe80::1%2", "link-local"),
        ("fd12::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("ff02::1", "multicast"),
        ("2606:4700::5efe:7f00:1", "loopback"),
        ("4000::1", "reserved"),
        ("8.8.8.8", ""),
        ("172.32.0.1", ""),
        ("2606:4700::1111", ""),
        ("64:ff9b::808:808", ""),
        ("::ffff:8.8.8.8", ""),
    ],
)
def test_an_address_out_of_bounds_is_told_by_kind(address, kind):
    assert special(ip_address(address)) == kind


@given(st.sampled_from([network for network, _ in SPECIAL]), st.integers(0))
def test_every_address_of_a_special_network_is_special_however_it_is_carried(network, offset):
    inside = network[offset % network.num_addresses]
    assert special(inside)
    if isinstance(inside, IPv4Address):
        for prefix in ("::ffff:0:0", "64:ff9b::", "2606:4700::5efe:0:0"):
            assert special(IPv6Address(int(IPv6Address(prefix)) + int(inside)))


@given(st.ip_addresses(v=6))
def test_ipv6_is_closed_outside_the_space_given_out(address):
    if not special(address):
        assert str(address).startswith(("2", "3", "64:ff9b::", "::ffff:"))


def test_a_name_on_the_users_list_opens_the_intranet_but_never_this_machine_or_metadata():
    entries = allowed(["Wiki.example", "wiki.example:8080"])
    ports = frozenset({80, 443})
    assert refusal("wiki.example", 80, "10.0.0.5", entries, ports) is None
    assert refusal("wiki.example", 8080, "10.0.0.5", entries, ports) is None
    assert refusal("wiki.example", 8081, "10.0.0.5", entries, ports) == (
        "wiki.example is at 10.0.0.5, a private address",
        "wiki.example:8081",
    )
    assert refusal("other.example", 80, "10.0.0.5", entries, ports) is not None
    for address in ("127.0.0.1", "169.254.169.254", "fe80::1", "::"):
        assert refusal("wiki.example", 80, address, entries, ports) is not None


def test_a_network_on_the_users_list_opens_what_it_says_and_its_port_only():
    ports = frozenset({80, 443})
    entries = allowed(["10.1.0.0/16", "127.0.0.1:8000", "[fd00::1]:81"])
    assert refusal("10.1.9.9", 80, "10.1.9.9", entries, ports) is None
    assert refusal("10.2.9.9", 80, "10.2.9.9", entries, ports) == ("10.2.9.9 is a private address", "10.2.9.9")
    assert refusal("a.example", 8000, "127.0.0.1", entries, ports) is None
    assert refusal("a.example", 80, "127.0.0.1", entries, ports) == ("a.example is at 127.0.0.1, a loopback address", "127.0.0.1")
    assert refusal("fd00::1", 81, "fd00::1", entries, ports) is None
    assert refusal("8.8.8.8", 81, "8.8.8.8", entries, ports) == ("port 81 of 8.8.8.8 is not open to requests", "8.8.8.8:81")


@pytest.mark.parametrize("entry", ["", "http://wiki.example", "10.0.0.0/99", "a b", "wiki.example:99999", "2130706433"])
def test_an_entry_that_is_no_host_and_no_network_is_refused(entry):
    with pytest.raises(InputError, match="no host and no network"):
        allowed([entry])


def test_one_page_has_one_normal_url():
    pages = [
        "http://a.example/b/c?x=1&y=2",
        "http://A.example:80/b/./c?x=1&y=2&utm_source=mail#part",
        "http://a.example/d/../b/c?x=1&y=2&gclid=5",
        "http://a.example/%62/c?x=1&y=2",
    ]
    assert {normal(target(url)).url for url in pages} == {"http://a.example/b/c?x=1&y=2"}
    assert normal(target("http://a.example/a%2fb")).url == "http://a.example/a%2Fb"
    assert normal(target("http://a.example/?y=2&x=1")).url == "http://a.example/?y=2&x=1"


def test_links_are_followed_from_where_they_stand():
    base = target("https://a.example/guide/one.html")
    assert follow(base, " two words.html#x ").url == "https://a.example/guide/two%20words.html"
    assert follow(base, "//b.example/").url == "https://b.example/"
    assert follow(base, "#part").url == base.url
    for link in ("javascript:alert(1)", "mailto:a@b.example", "http://[::1"):
        with pytest.raises(InputError):
            follow(base, link)


PIECES = st.text(alphabet="aZ09-._~%/é水 +&=;:@!$'()*,", max_size=20)


@given(PIECES, PIECES)
def test_reading_or_normalising_twice_changes_nothing(path, query):
    try:
        once = target(f"http://a.example/{path}?{query}")
    except InputError:
        return
    assert target(once.url) == once
    assert normal(normal(once)) == normal(once)
    assert target(normal(once).url) == normal(once)


def test_a_password_in_a_url_is_not_shown():
    with pytest.raises(InputError) as caught:
        target("http://user:secret@good.example/page")
    assert "secret" not in str(caught.value)
    assert "good.example/page" in str(caught.value)
