"""Every shipped recipe end to end: its own parts and rules, with small networks and few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.cli import main as flare_segment
from FlareSegmentLib.reading import read_label_map
from FlareTrainLib.pipeline import RunArguments, run_recipe
from FlareTrainLib.recipe import read_recipe, recipes_folder

SYSTEMS = ("p1", "p2", "p3", "p4", "p5", "best")


def shrink_stage(stage: dict[str, Any]) -> None:
    """Same parts, few features, a coarse grid, patches as small as the network allows."""
    training = stage["training"]
    arguments = training["network"]["arguments"]
    if "widths" in arguments:
        # As many levels as the paper's, so that strides and fusion stay. In bfloat16 PyTorch's
        # group normalization of 12 channels and 16 voxels on CPU gives NaN now and then.
        arguments["widths"] = [8] * len(arguments["widths"])
    if training["network"]["name"] == "TextSegResNet":
        arguments |= {"width": 8, "blocks": [1, 1, 1, 1], "hidden": 16}
    name = training["network"]["name"]
    # More than one voxel must be left at the coarsest level.
    size = [16, 64, 64] if name == "PlainUNet" else [32, 32, 32]
    if stage["grid"].get("fixed_size"):
        stage["grid"]["fixed_size"] = size
    else:
        stage["grid"]["spacing"] = [12, 12, 12]
    if stage["grid"].get("negatives"):
        stage["grid"]["negatives"] = 0
    stage["patch"] = size
    training["sampling"] |= {"patches": [size], "patch_weights": []}
    training["fit"] |= {"steps": 2, "batch": min(2, training["fit"].get("batch", 1)), "prefetch": 0}
    if training["sampling"].get("full_first"):
        training["sampling"]["full_first"] = 1


@pytest.fixture
def small_recipe(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    content = json.loads((recipes_folder() / f"{request.param}.json").read_text())
    stages = [teacher["network"] for teacher in content.get("teachers", [])]
    stages += [content[part] for part in ("localiser", "network") if content.get(part)]
    for stage in stages:
        stage["training"].setdefault("sampling", {})
        stage["training"].setdefault("fit", {})
        shrink_stage(stage)
    for teacher in content.get("teachers", []):
        if teacher.get("folds", 1) > 1:
            teacher["folds"] = 3  # the fewest that can outvote each other
    if content["name"] == "p5":
        content["refine"]["sources"] = ["organs_0", "organs_1", "organs_2"]
        content["refine"]["tumor_sources"] = ["tumor_0", "tumor_1", "tumor_2"]
    path = tmp_path / f"{request.param}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("small_recipe", SYSTEMS, indirect=True)
def test_system_makes_a_model_that_segments(
    small_recipe: Path, raw_dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    folder = run_recipe(RunArguments(str(small_recipe), raw_dataset, run, device="cpu"))
    bundle = ModelBundle.load(folder)
    assert bundle.info.name == small_recipe.stem
    assert len(bundle.info.targets) == 14
    assert (run / "refined" / "decisions.csv").read_text().count("\n") > 4
    scores = json.loads((run / "latest" / "evaluation.json").read_text())
    assert len(scores["cases"][0]["targets"]) == 14
    # Whatever is special about a recipe's inference, the bundle carries it.
    wanted = json.loads(small_recipe.read_text()).get("inference", {})
    assert {key: getattr(bundle.info.inference, key) for key in wanted} == wanted
    scan = raw_dataset / "imagesTs" / "held_out_0000.nii.gz"
    words = ["segment", str(scan), "-o", str(tmp_path / "out"), "--model", str(folder)]
    assert flare_segment([*words, "--device", "cpu"]) == 0
    (path,) = (tmp_path / "out").rglob("*_seg.nii.gz")
    ours, _ = read_label_map(path)
    theirs, _ = read_label_map(run / "latest" / "predictions" / "held_out_seg.nii.gz")
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("small_recipe", ["base"], indirect=True)
def test_the_bundled_models_recipe_runs_on_the_projects_layout(
    small_recipe: Path, reference_layout: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    folder = run_recipe(RunArguments(str(small_recipe), reference_layout, run, device="cpu"))
    bundle = ModelBundle.load(folder)
    assert bundle.localiser() is not None
    assert json.loads((folder / "score.json").read_text())["score"] is not None


def test_papers_differ_in_what_makes_them_themselves() -> None:
    """What issue and papers say of each system stands in its recipe."""
    recipes = {
        name: json.loads((recipes_folder() / f"{name}.json").read_text()) for name in SYSTEMS
    }

    def training(name: str) -> dict[str, Any]:
        found: dict[str, Any] = recipes[name]["network"]["training"]
        return found

    assert recipes["p1"]["refine"]["gate"]["least_agreement"] == 0.85
    assert recipes["p1"]["refine"]["tumor"] == "never"
    assert recipes["p1"]["network"]["grid"]["spacing"] == [2.42, 1.95, 1.95]
    assert training("p1")["loss"]["name"] == "selected_partial"
    assert training("p2")["network"]["name"] == "TextSegResNet"
    assert training("p2")["optimizer"]["name"] == "novograd"
    assert training("p3")["sampling"]["by_type"]
    assert training("p3")["cutmix"]["probability"] == 1
    assert recipes["p3"]["refine"]["uncertainty"] == {"organ_share": 0.556, "tumor_share": 0.1}
    assert recipes["p3"]["teachers"][0]["network"]["grid"]["spacing"] == [2.5, 0.82, 0.82]
    assert recipes["p4"]["localiser"]["grid"]["fixed_size"] == [160, 160, 160]
    assert recipes["p4"]["refine"]["top_fraction"] == 0.5
    assert training("p4")["network"]["name"] == "FusionUNet"
    assert [teacher["folds"] for teacher in recipes["p5"]["teachers"]] == [5, 5]
    assert recipes["p5"]["network"]["grid"]["spacing"] == [4.0, 1.2, 1.2]
    assert recipes["p5"]["refine"]["labels"] == "majority"


def test_a_shorter_schedule_keeps_the_share_of_its_parts() -> None:
    """150 of P3's 1200 epochs are fully annotated cases alone, of however many steps."""
    p3, best = read_recipe("p3"), read_recipe("best")
    assert p3.network.training.sampling.full_first == 37500
    short = p3.with_steps(800)
    for stage in (short.network, short.teachers[0].network):
        assert stage.training.fit.steps == 800
        assert stage.training.sampling.full_first == 100
    assert best.network.training.schedule.arguments == {"warm_up": 50}
    assert best.with_steps(2000).network.training.schedule.arguments == {"warm_up": 5}


def test_windows_are_as_large_as_what_was_trained_on() -> None:
    """A network normalises by what is in a window: another size costs DSC."""
    for name in ("p1", "p2", "p3", "p4", "p5"):
        recipe = read_recipe(name)
        stages = [teacher.network for teacher in recipe.teachers]
        for stage in [*stages, recipe.network, *filter(None, [recipe.localiser])]:
            assert stage.patch in stage.training.sampling.patches
