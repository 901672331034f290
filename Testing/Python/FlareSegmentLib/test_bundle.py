"""Bundles: what fits is loaded exactly, whatever does not fit is refused with its own sentence."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from FlareSegmentLib.bundle import (
    BundleInference,
    ModelBundle,
    file_sha256,
    read_info,
    save_bundle,
)
from FlareSegmentLib.errors import BundleError, OutputError
from FlareSegmentLib.segmenter import Segmenter


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "mödel folder"
    shutil.copytree(tiny_bundle, folder)
    return folder


def edit(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content.update(changes)
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def set_hash(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content["network"]["sha256"] = file_sha256(folder / "weights.pt")
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def test_saved_weights_come_back(bundle_copy: Path, tmp_path: Path) -> None:
    bundle = ModelBundle.load(bundle_copy)
    weights = bundle.network().state_dict()
    save_bundle(tmp_path / "again", bundle.info, weights)
    again = ModelBundle.load(tmp_path / "again")
    for key, value in again.network().state_dict().items():
        torch.testing.assert_close(value, weights[key])
    assert again.info.targets == bundle.info.targets
    assert again.info.network.intensity == bundle.info.network.intensity


def test_saving_into_a_file_says_so(bundle_copy: Path, tmp_path: Path) -> None:
    bundle = ModelBundle.load(bundle_copy)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_bundle(tmp_path / "file", bundle.info, bundle.network().state_dict())


def test_folder_without_model_json_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has no model\.json"):
        ModelBundle.load(tmp_path)


def test_half_written_model_json_is_refused(bundle_copy: Path) -> None:
    path = bundle_copy / "model.json"
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        ModelBundle.load(bundle_copy)


def test_unknown_format_version_is_refused(bundle_copy: Path) -> None:
    edit(bundle_copy, format=99)
    with pytest.raises(BundleError, match="format version 99"):
        ModelBundle.load(bundle_copy)


def test_missing_entry_is_named(bundle_copy: Path) -> None:
    content = json.loads((bundle_copy / "model.json").read_text(encoding="utf-8"))
    del content["activation"]
    (bundle_copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match="activation"):
        ModelBundle.load(bundle_copy)


def test_the_way_it_is_run_comes_along_and_may_be_left_out(bundle_copy: Path) -> None:
    assert read_info(bundle_copy).inference == BundleInference()
    wanted = {"largest_only": True, "step": 0.6, "tumor_outside": 0.5}
    edit(bundle_copy, inference=wanted | {"logit_offsets": {"aorta": -1.5}})
    bundle = ModelBundle.load(bundle_copy)
    save_bundle(bundle_copy, bundle.info, bundle.network().state_dict())
    assert read_info(bundle_copy).inference == BundleInference(
        step=0.6, largest_only=True, tumor_outside=0.5, logit_offsets={"aorta": -1.5}
    )
    settings = Segmenter(ModelBundle.load(bundle_copy), "cpu").settings
    assert settings.step == 0.6
    assert settings.logit_offsets == {"aorta": -1.5}
    assert settings.cleanup is not None
    assert settings.cleanup.largest_only
    assert settings.cleanup.tumor_outside == 0.5
    content = json.loads((bundle_copy / "model.json").read_text(encoding="utf-8"))
    del content["inference"]
    (bundle_copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_info(bundle_copy).inference == BundleInference()


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": 0},
        {"step": 1.5},
        {"upsampling": "nearest"},
        {"stride": 1},
        {"logit_offsets": {"aorta": float("nan")}},
        {"logit_offsets": {"brain": 1.0}},
    ],
)
def test_a_way_it_cannot_be_run_is_refused(bundle_copy: Path, wrong: dict[str, object]) -> None:
    edit(bundle_copy, inference=wrong)
    with pytest.raises(BundleError, match="misses or misstates an entry"):
        read_info(bundle_copy)


def test_unknown_target_is_named(bundle_copy: Path) -> None:
    edit(bundle_copy, targets=["liver", "brain"])
    with pytest.raises(BundleError, match="brain"):
        read_info(bundle_copy)


def test_weights_path_may_not_leave_the_folder(bundle_copy: Path) -> None:
    content = json.loads((bundle_copy / "model.json").read_text(encoding="utf-8"))
    content["network"]["weights"] = "../weights.pt"
    (bundle_copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match="must be a file name"):
        ModelBundle.load(bundle_copy)


def test_missing_weights_are_named(bundle_copy: Path) -> None:
    (bundle_copy / "weights.pt").unlink()
    with pytest.raises(BundleError, match=r"'weights\.pt' is missing"):
        ModelBundle.load(bundle_copy)


def test_half_written_weights_have_another_hash(bundle_copy: Path) -> None:
    path = bundle_copy / "weights.pt"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(BundleError, match="SHA-256"):
        ModelBundle.load(bundle_copy)


def test_weights_of_another_network_are_refused(bundle_copy: Path) -> None:
    content = json.loads((bundle_copy / "model.json").read_text(encoding="utf-8"))
    content["network"]["arguments"]["widths"] = [4, 12]
    (bundle_copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match="do not fit the network"):
        ModelBundle.load(bundle_copy)


class Harmful:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("as_torch_file", [True, False])
def test_code_in_a_weights_file_is_never_run(
    bundle_copy: Path, tmp_path: Path, as_torch_file: bool
) -> None:
    trace = tmp_path / "was here"
    if as_torch_file:
        torch.save({"weight": Harmful(trace)}, bundle_copy / "weights.pt")
    else:
        (bundle_copy / "weights.pt").write_bytes(pickle.dumps(Harmful(trace)))
    set_hash(bundle_copy)
    with pytest.raises(BundleError, match="not a plain weights file"):
        ModelBundle.load(bundle_copy)
    assert not trace.exists()


def test_something_else_than_tensors_is_refused(bundle_copy: Path) -> None:
    torch.save([1, 2, 3], bundle_copy / "weights.pt")
    set_hash(bundle_copy)
    with pytest.raises(BundleError, match="something else than named tensors"):
        ModelBundle.load(bundle_copy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing": [2.0, 1.5]},
        {"spacing": [2.0, 1.5, 0.0]},
        {"patch": [96, -1, 96]},
        {"intensity": {"lowest": 0, "highest": 1, "mean": 0, "scale": 0}},
        {"intensity": [0, 1, 0, 1]},
    ],
)
def test_a_network_entry_that_makes_no_sense_is_refused(
    bundle_copy: Path, wrong: dict[str, object]
) -> None:
    content = json.loads((bundle_copy / "model.json").read_text(encoding="utf-8"))
    content["network"].update(wrong)
    (bundle_copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match="misses or misstates an entry"):
        read_info(bundle_copy)


def test_a_full_disk_leaves_the_model_that_was_there(bundle_copy: Path) -> None:
    """A file size limit stands for the full disk: a write fails in the middle."""
    before = {path.name: path.read_bytes() for path in bundle_copy.iterdir()}
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from FlareSegmentLib.bundle import ModelBundle, save_bundle\n"
        "from FlareSegmentLib.errors import OutputError\n"
        "folder = Path(sys.argv[1])\n"
        "bundle = ModelBundle.load(folder)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    save_bundle(folder, bundle.info, bundle.network().state_dict())\n"
        "except OutputError as error:\n"
        "    sys.exit('free space' not in str(error))\n"
        "sys.exit('it was written')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(bundle_copy)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert {path.name: path.read_bytes() for path in bundle_copy.iterdir()} == before
