"""Requests reach what was checked, carry what they should, and give back what came."""

import datetime as dt
import gzip
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError, NetworkError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.request import Caps, Guard, gunzipped, request
from sapwood.testing.site import Page, site


def guard_for(site, **given) -> Guard:
    return Guard(allow=allowed([f"127.0.0.1:{site.port}"]), **given)


def test_a_page_comes_back_with_its_status_headers_and_body():
    with site({"/a": Page("水", headers={"ETag": '"1"'})}) as web:
        answer = request(guard_for(web), web.url("/a"), {"Accept-Language": "zh"})
        missing = request(guard_for(web), web.url("/b"))
    assert (answer.status, answer.body.decode(), answer.headers["etag"], answer.url) == (200, "水", '"1"', web.url("/a"))
    assert missing.status == 404
    sent = web.asked[0].headers
    assert sent["host"] == f"127.0.0.1:{web.port}"
    assert sent["accept-language"] == "zh"
    assert sent["user-agent"].startswith("sapwood")
    assert not set(sent) & {"cookie", "referer", "from"}


def test_a_page_that_has_not_changed_is_answered_without_a_body():
    with site({"/a": Page("water", headers={"etag": '"1"'})}) as web:
        answer = request(guard_for(web), web.url("/a"), {"If-None-Match": '"1"'})
    assert (answer.status, answer.body) == (304, b"")


def test_gzip_is_undone_members_and_padding_included():
    body = gzip.compress(b"one ") + gzip.compress("二".encode()) + b"\0" * 9
    with site({"/a": Page(body, headers={"content-encoding": "gzip"})}) as web:
        assert request(guard_for(web), web.url("/a")).body.decode() == "one 二"


def test_a_long_compressible_page_is_read_whole():
    text = ("Water carries salts through sapwood. " * 3000).encode()
    with site({"/a": Page(gzip.compress(text), headers={"content-encoding": "gzip"})}) as web:
        assert request(guard_for(web), web.url("/a")).body == text


def test_a_posted_body_arrives_and_is_not_sent_on_by_a_redirect():
    with site({"/a": Page("done"), "/b": Page("", 307, {"location": "/a"})}) as web:
        assert request(guard_for(web), web.url("/a"), {"content-type": "application/json"}, "POST", b"{}").body == b"done"
        assert web.asked[0].headers["content-length"] == "2"
        with pytest.raises(InputError, match="a POST is not sent on"):
            request(guard_for(web), web.url("/b"), {}, "POST", b"{}")


def test_a_redirect_within_the_origin_keeps_headers_and_one_to_another_origin_drops_them():
    with site({"/a": Page("water")}) as other, site() as web:
        web.routes.update({"/in": Page("", 302, {"location": "/end"}), "/end": Page("here")})
        web.routes["/out"] = Page("", 302, {"location": other.url("/a")})
        guard = Guard(allow=allowed([f"127.0.0.1:{web.port}", f"127.0.0.1:{other.port}"]))
        secret = {"Authorization": "Bearer s", "Accept": "text/html"}
        assert request(guard, web.url("/in"), secret).url == web.url("/end")
        assert request(guard, web.url("/out"), secret).body == b"water"
    assert web.asked[1].headers["authorization"] == "Bearer s"
    assert "authorization" not in other.asked[0].headers
    assert other.asked[0].headers["accept"] == "text/html"


def test_a_redirect_written_in_plain_utf_8_is_followed():
    def redirect(write):
        write("HTTP/1.1 302 X\r\nlocation: /说明?词=水\r\ncontent-length: 0\r\n\r\n".encode())

    with site({"/": redirect, "/%E8%AF%B4%E6%98%8E?%E8%AF%8D=%E6%B0%B4": Page("water")}) as web:
        assert request(guard_for(web), web.url()).body == b"water"


def test_the_name_of_the_url_is_kept_while_the_checked_address_is_connected():
    with site({"/": Page("water")}) as web:
        guard = guard_for(web, resolve=lambda host, port: ["127.0.0.1"])
        assert request(guard, web.url(host="docs.example")).body == b"water"
    assert web.asked[0].headers["host"] == f"docs.example:{web.port}"


def test_the_next_checked_address_is_tried_when_one_does_not_answer():
    with site({"/": Page("water")}) as web:
        guard = Guard(allow=allowed([f"127.0.0.0/8:{web.port}"]), resolve=lambda host, port: ["127.9.9.9", "127.0.0.1"])
        assert request(guard, web.url(host="docs.example")).body == b"water"


def test_the_environments_proxy_is_not_used_and_that_is_said(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with site({"/": Page("water")}) as web:
        assert request(guard_for(web), web.url()).body == b"water"
    with pytest.raises(NetworkError) as fault:
        request(guard_for(web), web.url())
    assert "proxy of the environment is not used" in fault.value.next_step


def test_an_unknown_name_is_a_network_fault():
    def unknown(host, port):
        raise OSError("Name or service not known")

    with pytest.raises(NetworkError, match=r"the name nowhere\.example is not known"):
        request(Guard(resolve=unknown), "http://nowhere.example/")


def certificate(folder, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's context, client's trust) for a certificate of one name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1)).add_extension(names, False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


def test_tls_is_checked_against_the_name_of_the_url_not_the_address(tmp_path):
    server, trust = certificate(tmp_path, "docs.example")
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    with site({"/": Page("water")}, server) as web:
        guard = guard_for(web, resolve=lambda host, port: ["127.0.0.1"], trust=trust)
        assert request(guard, web.url(host="docs.example", scheme="https")).body == b"water"
        with pytest.raises(NetworkError, match="Hostname mismatch"):
            request(guard, web.url(host="other.example", scheme="https"))
    assert names == ["docs.example", "other.example"]


def test_a_redirect_from_https_to_http_is_refused(tmp_path):
    server, trust = certificate(tmp_path, "docs.example")
    with site({"/": Page("", 301, {"location": "http://docs.example/"})}, server) as web:
        guard = guard_for(web, resolve=lambda host, port: ["127.0.0.1"], trust=trust)
        with pytest.raises(InputError, match="redirects from https to http"):
            request(guard, web.url(host="docs.example", scheme="https"))


@pytest.mark.parametrize(("caps", "size"), [(Caps(body=1000), 1000), (Caps(body=10**6), 10**6)])
def test_a_body_of_exactly_the_cap_is_let_through(caps, size):
    with site({"/a": Page(b"x" * size), "/b": Page(b"x" * (size + 1))}) as web:
        assert len(request(guard_for(web, caps=caps), web.url("/a")).body) == size
        with pytest.raises(InputError, match=f"the limit is {size}"):
            request(guard_for(web, caps=caps), web.url("/b"))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 3))
def test_what_is_unpacked_does_not_change_with_the_pieces_it_comes_in(members, size, padding):
    packed = b"".join(gzip.compress(member * 40) for member in members) + b"\0" * padding
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(gunzipped("u", pieces, Caps())) == b"".join(member * 40 for member in members)
