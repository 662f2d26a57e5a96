"""No engine opens without proof; and who is answered by whom does not wobble."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError, Refused
from sapwood.serving.deployment import Deployment, check, load
from sapwood.testing.served import MODEL, Signer, parity_of, proven_route, verdict_on


def test_a_proven_bundle_passes(route, signer):
    check(route, signer.public)
    check(replace(route, verdict=verdict_on(route.bundle, signer), parity=None), signer.public)


def refused(route, signer):
    with pytest.raises(Refused) as fault:
        load(route, signer.public)
    return fault.value.what


def test_no_verdict_no_service(route, signer):
    assert "no verdict" in refused(replace(route, verdict=None), signer)


def test_a_failed_verdict_is_a_no(route, signer):
    assert "fail" in refused(replace(route, verdict=verdict_on(MODEL, signer, passed=False, kind="model")), signer)


def test_a_verdict_about_something_else_is_a_no(route, signer):
    assert "is about" in refused(replace(route, verdict=verdict_on("99" * 32, signer)), signer)


def test_a_verdict_on_the_model_needs_parity(route, signer):
    assert "no parity record" in refused(replace(route, parity=None), signer)
    assert "parity failed" in refused(replace(route, parity=parity_of(MODEL, route.bundle, signer, passed=False)), signer)
    assert "other digests" in refused(replace(route, parity=parity_of(MODEL, "99" * 32, signer)), signer)


def test_a_verdict_by_another_key_is_a_no(route, signer):
    assert "another key" in refused(route, Signer(2))
    assert "another key" in refused(replace(route, verdict=verdict_on(route.bundle, Signer(2))), signer)


def test_a_verdict_that_was_edited_is_a_no(route, signer):
    failed = verdict_on(route.bundle, signer, passed=False)
    whitened = verdict_on(route.bundle, signer).record
    assert "changed after" in refused(replace(route, verdict=failed.model_copy(update={"record": whitened})), signer)


@pytest.mark.parametrize("change", ["flip", "add", "remove", "rename", "everything"])
def test_an_altered_bundle_is_a_no(route, signer, change):
    weights = route.folder / "weights.bin"
    match change:
        case "flip":
            data = bytearray(weights.read_bytes())
            data[0] ^= 1
            weights.write_bytes(data)
        case "add":
            (route.folder / "more.txt").write_text("")
        case "remove":
            weights.unlink()
        case "rename":
            weights.rename(route.folder / "weights2.bin")
        case "everything":
            weights.unlink()
            (route.folder / "bundle.json").unlink()
            route.folder.rmdir()
    assert "altered" in refused(route, signer)


def shared(route, *shares, role="serve"):
    return Deployment("letters", 1, tuple(replace(route, version=i + 1, share=s, role=role) for i, s in enumerate(shares)))


@pytest.mark.parametrize("shares", [(), (0.5,), (0.7, 0.7), (1.5, -0.5)])
def test_shares_add_up_to_one(route, shares):
    with pytest.raises(InputError, match="add up"):
        shared(route, *shares)


def test_shadow_traffic_is_refused_rather_than_answered(route):
    with pytest.raises(InputError, match="shadow"):
        shared(route, 1.0, role="shadow")


@given(st.text(max_size=20))
def test_one_who_is_always_goes_the_same_way(who):
    from pathlib import Path

    from sapwood.serving.deployment import Route

    route = Route(1, 1.0, "serve", "b", "m", Path(), None, None)
    tenth = shared(route, 0.9, 0.1)
    assert tenth.pick(who) == tenth.pick(who)
    half = shared(route, 0.5, 0.5)
    if tenth.pick(who).version == 2:
        assert half.pick(who).version == 2  # growing the canary keeps those who are on it
    assert shared(route, 1.0, 0.0).pick(who).version == 1
    assert shared(route, 0.0, 1.0).pick(who).version == 2


def test_the_canary_gets_its_share(route):
    deployment = shared(route, 0.9, 0.1)
    hits = sum(deployment.pick(f"session-{i}").version == 2 for i in range(10_000))
    assert 900 < hits < 1100  # 3.3 standard deviations


def test_two_versions_have_two_digests(tmp_path, signer):
    assert proven_route(tmp_path / "a", signer, 1).bundle != proven_route(tmp_path / "b", signer, 2).bundle
