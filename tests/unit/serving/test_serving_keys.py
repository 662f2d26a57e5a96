"""Keys: shown once, hashed at rest, shut out at once, limited by the minute."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from sapwood.errors import InputError, NotFound
from sapwood.serving.keys import Doorman, KeyRing, new_key, read_file, write_file
from sapwood.serving.tables import metadata


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    metadata.create_all(engine)
    return KeyRing(engine)


def test_the_secret_is_random_long_and_not_at_rest(ring, tmp_path):
    key, secret = ring.create("ann", ["infer:predict"])
    _, other = ring.create("ann", ["infer:predict"])
    assert secret.startswith("sw-")
    assert len(secret) == 3 + 43  # 256 bits in base64
    assert secret != other
    assert key.prefix == secret[:8]
    assert secret.encode() not in (tmp_path / "db").read_bytes()
    assert ring.list()[0] == key


@pytest.mark.parametrize("scopes", [[], ["infer:everything"], ["infer:predict", "*"]])
def test_an_unknown_scope_is_refused(ring, scopes):
    with pytest.raises(InputError, match="scope"):
        ring.create("ann", scopes)


def test_only_the_right_secret_opens(ring, clock):
    key, secret = ring.create("ann", ["infer:predict"])
    doorman = Doorman(ring.list, clock)
    assert doorman.find(secret) == key
    for wrong in ("", "sw-", secret[:-1], secret + "x", key.hash, "键\udc80"):
        assert doorman.find(wrong) is None


def test_a_revoked_key_opens_nothing_after_a_second(ring, clock):
    key, secret = ring.create("ann", ["infer:predict"])
    doorman = Doorman(ring.list, clock)
    assert doorman.find(secret)
    ring.revoke(key.key_id)
    clock.now += 1
    assert doorman.find(secret) is None
    assert ring.revoke(key.key_id).revoked_at == ring.list()[0].revoked_at
    assert doorman.empty()


def test_revoking_what_is_not_there_says_so(ring):
    with pytest.raises(NotFound):
        ring.revoke("key-none")


def test_an_expired_key_opens_nothing(ring, clock):
    _, secret = ring.create("ann", ["infer:predict"], expires_at=clock.now + 0.5)
    doorman = Doorman(ring.list, clock)
    assert doorman.find(secret)
    clock.now += 0.5
    assert doorman.find(secret) is None


def test_a_new_key_opens_at_once_and_guessing_does_not_hammer_the_database(ring, clock):
    asked = []
    doorman = Doorman(lambda: asked.append(1) or ring.list(), clock)
    assert doorman.empty()
    _, secret = ring.create("ann", ["infer:predict"])
    clock.now += 0.2
    assert doorman.find(secret)
    for _ in range(100):
        doorman.find("sw-guess")
    assert len(asked) == 2


def test_a_ring_that_cannot_be_read_opens_nothing(clock):
    def away():
        raise OSError("database is away")

    with pytest.raises(OSError, match="away"):
        Doorman(away, clock).find("sw-any")


def test_the_bucket_lets_a_minutes_worth_through_and_refills(clock):
    key, _ = new_key("ann", ["infer:predict"], rpm_limit=60)
    doorman = Doorman(lambda: [key], clock)
    assert [doorman.wait_s(key) for _ in range(60)] == [0] * 60
    assert doorman.wait_s(key) == pytest.approx(1)
    clock.now += 1
    assert doorman.wait_s(key) == 0
    assert doorman.wait_s(replace(key, rpm_limit=None)) == 0


def test_when_a_key_was_used_is_written_down(ring, clock):
    _, secret = ring.create("ann", ["infer:predict"])
    doorman = Doorman(ring.list, clock)
    doorman.find(secret)
    ring.mark_used(doorman.take_seen())
    assert ring.list()[0].last_used_at == clock.now
    assert doorman.take_seen() == {}


def test_a_key_file_holds_hashes_and_opens_the_same_doors(ring, tmp_path, clock):
    _, secret = ring.create("ann", ["infer:predict", "metrics:read"], rpm_limit=5)
    file = tmp_path / "keys.json"
    write_file(file, ring.list())
    assert secret not in file.read_text()
    assert read_file(file) == ring.list()
    assert Doorman(lambda: read_file(file), clock).find(secret).owner == "ann"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": [{"key_id": "a"}]}', '{"keys": [{"scopes": [], "colour": 1}]}'])
def test_a_file_that_is_no_key_file_is_refused(tmp_path, text):
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(InputError, match="not a key file"):
        read_file(file)


def test_the_file_form_is_sorted_json(ring, tmp_path):
    ring.create("ann", ["infer:predict"])
    write_file(tmp_path / "k", ring.list())
    assert list(json.loads((tmp_path / "k").read_text())["keys"][0]) == sorted(ring.list()[0].__dataclass_fields__)
