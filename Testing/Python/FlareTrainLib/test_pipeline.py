"""A recipe end to end on tiny patients: every step, resumed, and run by the real Segmenter."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareSegmentLib.segmenter import Segmenter
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib import pack_dataset
from FlareTrainLib.cli import main
from FlareTrainLib.pipeline import RunArguments, run_recipe
from FlareTrainLib.recipe import read_recipe, recipe_names


def network(**training: Any) -> dict[str, Any]:
    """A network that trains in a second."""
    arguments = {"widths": [8, 8], "stem_stride": [1, 1, 1], "convolutions": 1}
    return {
        "grid": {"spacing": [12, 12, 12]},
        "patch": [16, 32, 32],
        "training": {
            "network": {"name": "SubvoxelUNet", "arguments": arguments},
            "fit": {"steps": 3, "batch": 1, "prefetch": 0},
            "sampling": {"patches": [[16, 16, 16]], "patch_weights": [1]},
            "tumors": {"probability": 0.0},
            **training,
        },
    }


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    content = {
        "name": "tiny",
        "teachers": [{"name": "organs", "network": network(), "folds": 2}],
        "refine": {
            "sources": ["a", "b", "organs_0"],
            "gate": {"least_agreement": 0.85},
            "cleaning": "apply",
        },
        "localiser": network(),
        "network": network(),
    }
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(content))
    return path


def alone(recipe: Path) -> dict[str, Any]:
    """Leave the recipe its network only; its content."""
    content: dict[str, Any] = json.loads(recipe.read_text())
    content |= {"teachers": [], "localiser": None, "refine": {"sources": ["a"]}}
    recipe.write_text(json.dumps(content))
    return content


def test_run_does_every_step_and_again_does_nothing(
    raw_dataset: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["run", str(recipe), "--data", str(raw_dataset), "--run", str(run), "--device", "cpu"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(run / "bundle")

    for fold in (0, 1):
        assert len(list((run / "pseudo" / f"organs_{fold}").glob("*.nii.gz"))) == 4
    rows = list(csv.DictReader((run / "refined" / "decisions.csv").open()))
    gate = {row["case"]: row for row in rows if row["step"] == "agreement gate"}
    assert gate["case_3"]["decision"] == "passed"
    assert float(gate["case_3"]["score"]) == 1
    evaluation = json.loads((run / "latest" / "evaluation.json").read_text())
    assert evaluation["cases"][0]["case"] == "held_out"

    bundle = ModelBundle.load(run / "bundle")
    assert bundle.info.facts["recipe"] == "tiny"
    assert bundle.localiser() is not None
    # The trainer's own validation is what anyone gets who runs the bundle.
    volume = read_volume(raw_dataset / "imagesTs" / "held_out_0000.nii.gz")
    ours = Segmenter(bundle, "cpu").segment(volume).array
    theirs, _ = read_label_map(run / "latest" / "predictions" / "held_out_seg.nii.gz")
    assert np.array_equal(ours, theirs)

    before = {
        path: path.stat().st_mtime_ns
        for path in run.rglob("*")
        if path.suffix in (".pt", ".npz") and "latest" not in path.parts
    }
    assert any(path.name == "checkpoint.pt" for path in before)
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_run_goes_on_where_it_was_stopped(raw_dataset: Path, recipe: Path, tmp_path: Path) -> None:
    alone(recipe)
    run = tmp_path / "run"
    # No time at all: one step is done, then the budget is over.
    arguments = RunArguments(str(recipe), raw_dataset, run, minutes=0.0, device="cpu")
    run_recipe(arguments)
    assert ModelBundle.load(run / "bundle").info.facts["steps"] == 1
    assert not (run / "network" / "finished.json").exists()

    run_recipe(RunArguments(str(recipe), raw_dataset, run, device="cpu"))
    assert ModelBundle.load(run / "latest" / "bundle").info.facts["steps"] == 3
    log = [json.loads(line) for line in (run / "network" / "fit" / "log.jsonl").open()]
    assert any(entry.get("event") == "resumed" for entry in log)


def test_a_begun_run_refuses_another_recipe(
    raw_dataset: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text(json.dumps({"name": "other"}))
    words = ["run", str(recipe), "--data", str(raw_dataset), "--run", str(run)]
    assert main(words) == 1
    assert "was begun with another recipe" in capsys.readouterr().err


def test_a_training_is_not_continued_on_other_data(
    raw_dataset: Path, recipe: Path, tmp_path: Path
) -> None:
    alone(recipe)
    run = tmp_path / "run"
    arguments = RunArguments(
        str(recipe), raw_dataset, run, minutes=0.0, device="cpu", validate=False
    )
    run_recipe(arguments)
    (raw_dataset / "imagesTr" / "case_3_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="changed since the training"):
        run_recipe(arguments)


def test_labels_that_changed_are_found_out_whatever_their_size(
    raw_dataset: Path, recipe: Path, tmp_path: Path
) -> None:
    alone(recipe)
    arguments = RunArguments(
        str(recipe), raw_dataset, tmp_path / "run", minutes=0.0, device="cpu", validate=False
    )
    run_recipe(arguments)
    path = raw_dataset / "labelsTr" / "case_2.nii.gz"
    labels, affine = read_label_map(path)
    labels = np.where(labels == 3, 0, labels).astype(np.uint8)
    write_label_map(path, labels, affine, targets())
    with pytest.raises(InputError, match="changed since the training"):
        run_recipe(arguments)


def test_the_time_limit_is_time_of_training_alone(
    raw_dataset: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing before every leg that takes longer than the limit leaves the training its time."""
    content = alone(recipe)
    limit = 0.3
    content["leg_minutes"] = limit / 60 / 4
    content["network"]["training"]["fit"]["steps"] = 100_000
    recipe.write_text(json.dumps(content))
    packs = pack_dataset.pack_refined

    def slowly(*arguments: Any) -> None:
        threading.Event().wait(limit)
        packs(*arguments)

    monkeypatch.setattr(pack_dataset, "pack_refined", slowly)
    run = tmp_path / "run"
    arguments = RunArguments(str(recipe), raw_dataset, run, limit / 60, device="cpu")
    run_recipe(replace(arguments, validate=False))
    checkpoint = torch.load(run / "network" / "fit" / "checkpoint.pt", weights_only=True)
    assert checkpoint["seconds"] >= limit


@pytest.mark.parametrize("what", ["grid", "value"])
def test_unusable_validation_cases_are_told_before_the_training(
    raw_dataset: Path, recipe: Path, tmp_path: Path, what: str
) -> None:
    alone(recipe)
    path = raw_dataset / "labelsTs" / "held_out.nii.gz"
    labels, affine = read_label_map(path)
    if what == "grid":
        write_label_map(path, labels[1:].astype(np.uint8), affine, targets())
    else:
        (raw_dataset / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1}}')
        for name in ("case_0", "case_1", "case_2"):
            (raw_dataset / "labelsTr" / f"{name}.nii.gz").unlink()
        (raw_dataset / "annotated.json").write_text('{"held_out": {"annotated": [1]}}')
    run = tmp_path / "run"
    with pytest.raises(InputError, match="cannot be judged by the validation case held_out"):
        run_recipe(RunArguments(str(recipe), raw_dataset, run, device="cpu"))
    assert not (run / "network").exists()


def test_a_scan_that_is_no_ct_is_not_trained_on(
    raw_dataset: Path, recipe: Path, tmp_path: Path
) -> None:
    alone(recipe)
    path = raw_dataset / "imagesTr" / "case_3_0000.nii.gz"
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[3:5] = np.nan
    broken = sitk.GetImageFromArray(array)
    broken.CopyInformation(image)
    sitk.WriteImage(broken, str(path))
    arguments = RunArguments(str(recipe), raw_dataset, tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match=r"voxels without a number.*take case_3 out"):
        run_recipe(arguments)


def test_a_teacher_without_cases_says_so(raw_dataset: Path, recipe: Path, tmp_path: Path) -> None:
    content = json.loads(recipe.read_text())
    teacher = network(targets=[14])
    content["teachers"] = [{"name": "tumor", "network": teacher}]
    recipe.write_text(json.dumps(content))
    listed = raw_dataset / "annotated.json"
    annotated = {
        name: {"annotated": [n for n in entry["annotated"] if n != 14]}
        for name, entry in json.loads(listed.read_text()).items()
    }
    listed.write_text(json.dumps(annotated))
    arguments = RunArguments(str(recipe), raw_dataset, tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match="'tumor' has nothing to learn from: no case is annotated"):
        run_recipe(arguments)


@pytest.mark.parametrize("name", ["p1", "p2", "p3", "p4", "p5", "best", "base"])
def test_shipped_recipes_can_be_read(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert name in recipe_names()


def test_an_unknown_setting_is_refused_with_a_hint(recipe: Path) -> None:
    content = json.loads(recipe.read_text())
    content["network"]["training"]["fit"]["step"] = 4
    recipe.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"unknown setting 'step'. Did you mean 'steps'"):
        read_recipe(str(recipe))


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no recipe 'p9'. Give one of base, best, continue, p1"):
        read_recipe("p9")
