"""A release folder is complete, provable, and refused otherwise."""

from pathlib import Path

import pytest

from sapwood import verdict as verdicts
from sapwood.errors import InputError, Refused
from sapwood.serving.deployment import check, exported
from sapwood.serving.export import export_release
from sapwood.testing.served import MODEL, Signer, verdict_on


def filed(folder: Path, signed):
    folder.mkdir()
    verdicts.write(folder, signed)
    return folder


@pytest.fixture
def proofs(tmp_path, route):
    return filed(tmp_path / "verdict", route.verdict), filed(tmp_path / "parity", route.parity)


def test_what_is_exported_can_be_served(tmp_path, route, signer, proofs):
    out = export_release(route.folder, *proofs, signer.public, tmp_path / "deep" / "release", "reviews", 7)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "bundle/bundle.json",
        "bundle/weights.bin",
        "parity.json",
        "release.json",
        "verdict.json",
    ]
    deployment, key = exported(out)
    [found] = deployment.routes
    assert (deployment.name, found.version, found.bundle, found.model, key) == ("reviews", 7, route.bundle, MODEL, signer.public)
    check(found, key)
    (out / "bundle" / "weights.bin").write_bytes(b"other")
    with pytest.raises(Refused, match="altered"):
        check(found, key)


def test_a_verdict_on_the_bundle_itself_still_needs_to_know_its_model(tmp_path, route, signer, proofs):
    own = filed(tmp_path / "own", verdict_on(route.bundle, signer))
    assert exported(export_release(route.folder, own, proofs[1], signer.public, tmp_path / "a"))[0].routes[0].model == MODEL
    with pytest.raises(Refused, match="source model"):
        export_release(route.folder, own, None, signer.public, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_could_not_be_served_is_not_exported(tmp_path, route, signer, proofs):
    failed = filed(tmp_path / "failed", verdict_on(MODEL, signer, passed=False, kind="model"))
    for verdict, key in ((failed, signer.public), (proofs[0], Signer(2).public)):
        with pytest.raises(Refused):
            export_release(route.folder, verdict, proofs[1], key, tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_an_old_folder_is_not_written_over(tmp_path, route, signer, proofs):
    (tmp_path / "release").mkdir()
    with pytest.raises(InputError, match="there already"):
        export_release(route.folder, *proofs, signer.public, tmp_path / "release")


@pytest.mark.parametrize("file", ["release.json", "verdict.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"bundle": 1}', "\x00"])
def test_a_folder_that_is_no_release_says_so(tmp_path, route, signer, proofs, file, text):
    out = export_release(route.folder, *proofs, signer.public, tmp_path / "release")
    (out / file).write_text(text)
    with pytest.raises(InputError, match=r"not an exported release|release\.json"):
        exported(out)


def test_a_release_whose_proof_was_taken_away_is_refused(tmp_path, route, signer, proofs):
    out = export_release(route.folder, *proofs, signer.public, tmp_path / "release")
    (out / "verdict.json").unlink()
    deployment, key = exported(out)
    with pytest.raises(Refused, match="no verdict"):
        check(deployment.routes[0], key)
