"""A watched folder: what is complete is offered, what is being copied is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rove_core.joint_space import JointSpace
from rove_inference.bundle import SPEC_FILE, load_bundle
from rove_inference.offers import Look, OfferFolder


@pytest.fixture
def nightly(tmp_path: Path) -> Path:
    folder = tmp_path / "nightly"
    folder.mkdir()
    return folder


def copy(tiny: Path, folder: Path, name: str, written_s: int = 1000) -> Path:
    """A bundle of another id, whose policy.yaml was written at `written_s`."""
    path = Path(shutil.copytree(tiny, folder / name))
    spec = path / SPEC_FILE
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: tiny", f"name: {name}"), encoding="utf-8")
    os.utime(spec, (written_s, written_s))
    return path


def settled(folder: OfferFolder) -> Look:
    """Two looks without a change in between."""
    folder.look()
    return folder.look()


def test_a_complete_bundle_is_offered_once_nothing_in_it_changes(tiny: Path, nightly: Path, space: JointSpace) -> None:
    folder = OfferFolder(nightly, space)
    assert folder.look() == Look()
    path = copy(tiny, nightly, "new")
    assert folder.look().offers == ()
    (offer,) = folder.look().offers
    assert offer.path == path
    assert offer.policy_id == load_bundle(path, space).policy_id


def test_a_copy_under_way_is_not_offered_and_is_when_it_is_done(tiny: Path, nightly: Path, space: JointSpace) -> None:
    folder = OfferFolder(nightly, space)
    path = copy(tiny, nightly, "new")
    model = (path / "model.onnx").read_bytes()
    (path / "model.onnx").unlink()
    assert "cannot read model.onnx" in settled(folder).incomplete["new"]
    (path / "model.onnx").write_bytes(model[:-1])
    look = settled(folder)
    assert look.offers == ()
    assert "SHA-256" in look.incomplete["new"]
    (path / "model.onnx").write_bytes(model)
    look = settled(folder)
    assert [offer.path for offer in look.offers] == [path]
    assert look.incomplete == {}


def test_an_offer_ends_when_the_bundle_changes_or_goes(tiny: Path, nightly: Path, space: JointSpace) -> None:
    folder = OfferFolder(nightly, space)
    path = copy(tiny, nightly, "new")
    assert settled(folder).offers
    (path / "model.onnx").write_bytes(b"overwritten")
    assert folder.look().offers == ()
    shutil.rmtree(path)
    assert folder.look() == Look()


def test_bundles_for_other_robots_and_hidden_folders_are_not_offered(
    tiny: Path, nightly: Path, space: JointSpace
) -> None:
    spec = copy(tiny, nightly, "other") / SPEC_FILE
    spec.write_text(spec.read_text(encoding="utf-8").replace("robot: iron_r01", "robot: walker"), encoding="utf-8")
    copy(tiny, nightly, ".arriving")
    (nightly / "notes.txt").write_text("not a bundle")
    look = settled(OfferFolder(nightly, space))
    assert look.offers == ()
    assert look.incomplete.keys() == {"other"}
    assert "walker" in look.incomplete["other"]


def test_a_pipe_in_a_bundle_does_not_hold_up_the_watch(tiny: Path, nightly: Path, space: JointSpace) -> None:
    path = copy(tiny, nightly, "odd")
    (path / "model.onnx").unlink()
    os.mkfifo(path / "model.onnx")
    assert "no plain file" in settled(OfferFolder(nightly, space)).incomplete["odd"]


def test_the_newest_comes_last_and_what_is_older_than_the_running_one_is_not_offered_again(
    tiny: Path, nightly: Path, space: JointSpace
) -> None:
    for name, written_s in (("friday", 3000), ("wednesday", 1000), ("thursday", 2000)):
        copy(tiny, nightly, name, written_s)
    look = settled(OfferFolder(nightly, space))
    assert [offer.path.name for offer in look.offers] == ["wednesday", "thursday", "friday"]
    running = look.offers[1].policy_id
    assert [offer.path.name for offer in look.besides(running)] == ["friday"]
    assert len(look.besides("elsewhere@000000000000")) == 3


def test_a_folder_that_is_not_there_offers_nothing(tmp_path: Path, space: JointSpace) -> None:
    assert settled(OfferFolder(tmp_path / "unmounted", space)) == Look()
