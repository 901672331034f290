"""A study end to end on tiny patients: equal budget, resumed, twins told, prose kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareTrainLib.cli import main
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.settings import settings_to_json
from FlareTrainLib.study import _in_view, planned_runs, run_study
from FlareTrainLib.study_budget import FEWEST, steps_for, with_budget
from FlareTrainLib.study_data import study_data
from FlareTrainLib.study_settings import StudySettings, Variant, laid_over, read_study
from FlareTrainLib.study_table import tables, write_tables

TINY: dict[str, Any] = {
    "grid": {"spacing": [12, 12, 12]},
    "patch": [16, 32, 32],
    "training": {
        "fit": {"batch": 1, "prefetch": 0, "precision": "float32"},
        "sampling": {"patches": [[16, 16, 16]], "patch_weights": []},
    },
}
PLAIN = {"training": {"network": {"arguments": {"widths": [4, 6], "strides": [[2, 2, 2]]}}}}
HOUSE = {"training": {"network": {"arguments": {"widths": [4, 6], "stem_stride": [1, 1, 1]}}}}
SOURCES = {"refine": {"sources": ["a", "b"]}}


def tiny_study(**changes: Any) -> StudySettings:
    house = laid_over(laid_over(TINY, HOUSE), {"grid": {"negatives": 0}})
    plain = laid_over(TINY, PLAIN)
    study = StudySettings(
        name="tiny",
        about="For a test.",
        seconds=1e-6,
        seeds=(1, 2),
        recipes=(
            Variant("first", "p1", {**SOURCES, "network": plain}),
            Variant("ours", "best", {**SOURCES, "localiser": None, "network": house}),
        ),
        ablated="ours",
        ablations=(
            Variant("without unlabeled", "", {"refine": {"top_fraction": 0.0}}),
            Variant("without gate", "", {"refine": {"gate": None}}),
        ),
    )
    return replace(study, **changes)


def test_a_study_runs_every_variant_with_every_seed_and_writes_its_tables(
    raw_dataset: Path, tmp_path: Path
) -> None:
    settings, folder, page = tiny_study(), tmp_path / "study", tmp_path / "STUDY.md"
    page.write_text("# Ours\n\nWritten by hand.\n")

    def write() -> None:
        write_tables(settings, folder, page)

    run_study(settings, raw_dataset, folder, "cpu", None, write)
    results = {path.stem: json.loads(path.read_text()) for path in folder.glob("results/*.json")}
    assert sorted(results) == [
        f"{name}-{seed}"
        for name in ("first", "ours", "without-gate", "without-unlabeled")
        for seed in (1, 2)
    ]
    assert results["first-1"]["steps"] == {"network": FEWEST}
    assert results["first-1"]["cases"] == 4
    assert results["without-unlabeled-2"]["cases"] == 3
    # All sources agree here: without its gate the recipe is what it was.
    assert results["without-gate-1"]["same_as"] == "ours"
    assert results["ours-1"]["signature"] != results["ours-2"]["signature"]
    text = page.read_text()
    assert text.startswith("# Ours\n\nWritten by hand.\n")
    score = results["first-1"]["summary"]["organs_in_view"]["dsc"]
    other = results["first-2"]["summary"]["organs_in_view"]["dsc"]
    assert f"{100 * (score + other) / 2:.1f} ({100 * min(score, other):.1f} to" in text
    evaluation = json.loads(
        (folder / "runs" / "first-1" / "latest" / "evaluation.json").read_text()
    )
    (case,) = evaluation["cases"]
    assert results["first-1"]["targets"]["liver"]["dsc"] == case["targets"]["liver"]["dsc"]
    assert "those of ours, to the letter: not run" in text
    assert "Not there" not in text

    # Again: nothing is done, and what stands around the tables stays.
    page.write_text(text + "\n## Trials\n\nBy hand too.\n")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert before
    run_study(settings, raw_dataset, folder, "cpu", None, write)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == before
    assert page.read_text() == text + "\n## Trials\n\nBy hand too.\n"

    with pytest.raises(InputError, match="holds another study"):
        run_study(replace(settings, seconds=3.0), raw_dataset, folder, "cpu")


def test_what_was_not_run_or_failed_is_said(raw_dataset: Path, tmp_path: Path) -> None:
    broken = Variant("broken", "p1", {"refine": {"sources": ["nowhere"]}})
    settings = tiny_study(seeds=(1,), ablations=())
    settings = replace(settings, recipes=(broken, *settings.recipes))
    run_study(settings, raw_dataset, tmp_path, "cpu", minutes=0.0)
    text = tables(settings, tmp_path)
    assert "* broken, seed 1: failed. There is no pseudo-label source 'nowhere'" in text
    assert "* first: not run with seed 1" in text
    assert "|" not in text, "no tables of nothing"
    (tmp_path / "results" / "broken-1.json").unlink()
    assert "* broken: not run with seed 1" in tables(settings, tmp_path)
    content = {"variant": "ours", "seed": 1, "steps": {"network": 3}, "cases": 4}
    score = {"dsc": 0.5, "nsd": 0.25}
    content |= {"summary": {"organs_in_view": score, "tumor": score}, "targets": {"liver": score}}
    (tmp_path / "results" / "ours-1.json").write_text(json.dumps(content))
    text = tables(settings, tmp_path)
    assert "1 of 3 runs" in text
    assert "| first | - | - | - | - | - | - |" in text
    assert "| ours | 50.0 (one seed) | 25.0 (one seed) | 50.0 (one seed) |" in text
    assert "| liver | - | - | 50 / 25 |" in text
    assert "nothing can be ranked" in text


def test_reduced_scans_and_labels_lie_on_one_grid_where_they_were(
    raw_dataset: Path, tmp_path: Path
) -> None:
    settings = tiny_study(reduce_mm=16.0, phantoms=1)
    dataset = study_data(raw_dataset, tmp_path / "data", settings)
    names = [case.name for case in dataset.cases]
    assert names == ["case_0", "case_1", "case_2", "case_3", "phantom_0"]
    assert dataset.cases[-1].annotated == tuple(range(1, 15))
    assert dataset.cases[2].annotated == (1, 3)
    assert [case.name for case in dataset.validation] == ["held_out"]
    original = read_dataset(raw_dataset)
    small = read_volume(dataset.cases[0].scan)
    large = read_volume(original.cases[0].scan)
    assert small.array.shape == (12, 16, 18)
    # The boxes that the voxels fill are the same: corners of the first and beyond the last voxel.
    for volume in (small, large):
        size = np.array(volume.array.shape[::-1])
        low = volume.affine @ [-0.5, -0.5, -0.5, 1]
        high = volume.affine @ [*(size - 0.5), 1]
        np.testing.assert_allclose([low[:3], high[:3]], [[4, 4, -4], [-284, -252, 188]])
    labels, affine = read_label_map(dataset.sources["a"] / "case_0.nii.gz")
    np.testing.assert_allclose(affine, small.affine, atol=1e-5)
    assert labels.shape == small.array.shape
    assert {1, 2, 13} <= set(np.unique(labels).tolist())
    held_out = read_volume(dataset.validation[0].scan)
    assert held_out.array.shape == large.array.shape, "validation is never reduced"


def test_a_target_that_the_reference_lacks_flatters_nobody() -> None:
    seen = {"dsc": 0.4, "nsd": 0.6, "reference_voxels": 9}
    absent = {"dsc": 1.0, "nsd": 1.0, "reference_voxels": 0}
    cases = [{"targets": {"liver": seen, "aorta": absent}}, {"targets": {"liver": absent}}]
    assert _in_view(cases) == {"liver": {"dsc": 0.4, "nsd": 0.6}}


def test_a_budget_is_shared_as_the_recipe_says() -> None:
    recipe = read_study("large").recipes[-1].read()
    assert recipe.localiser is not None
    steps = steps_for(recipe, {"localiser": 0.1, "network": 0.5}, 40.0)
    assert steps == {"localiser": round(40 * 0.15 / 0.1), "network": round(40 * 0.85 / 0.5)}
    planned = with_budget(recipe, steps, 7)
    assert planned.network.training.fit.steps == steps["network"]
    assert planned.network.training.fit.seed == 7
    assert planned.leg_minutes == 0


@pytest.mark.parametrize("name", ["small", "large"])
def test_shipped_studies_compare_the_six_systems(name: str) -> None:
    settings = read_study(name)
    assert [variant.name for variant in settings.recipes] == ["p1", "p2", "p3", "p4", "p5", "best"]
    assert len(settings.seeds) == 2
    runs = planned_runs(settings)
    assert len(runs) == 20
    assert len({run.name for run in runs}) == 20
    recipes = {run.variant.name: run.variant.read() for run in runs}
    without = {key: recipe for key, recipe in recipes.items() if key.startswith("without")}
    assert without["without gate"].refine.gate is None
    assert recipes["best"].refine.gate is not None
    assert without["without CutMix"].network.training.cutmix.probability == 0
    assert recipes["best"].network.training.cutmix.probability > 0
    assert without["without cleaning"].refine.cleaning == "off"
    assert without["without unlabeled cases"].refine.top_fraction == 0
    for key, recipe in recipes.items():
        assert not recipe.teachers
        assert recipe.refine.sources[0] == "flare25_mean", key


def test_an_ablation_changes_one_thing() -> None:
    settings = read_study("small")
    base = settings_to_json(settings.base.read())
    for ablation in settings.ablations:
        changed = settings_to_json(settings.complete(ablation).read())
        assert len(_differences(base, changed)) == 1, ablation.name


def _differences(one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [d for key in one for d in _differences(one[key], other[key])]
    return [] if one == other else [f"{one} {other}"]


def test_changes_are_laid_over_key_by_key() -> None:
    content = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert laid_over(content, {"a": {"b": None}, "d": [3]}) == {"a": {"c": 2}, "d": [3]}
    twice = laid_over({"a": None}, {"e": 1}, keep_null=True)
    assert laid_over(content, twice) == {"d": [1, 2], "e": 1}
    assert content == {"a": {"b": 1, "c": 2}, "d": [1, 2]}


def test_wrong_studies_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"no study 'huge'. Give one of large, small"):
        read_study("huge")
    content = settings_to_json(tiny_study())
    for change, sentence in (
        ({"ablated": "nobody"}, "must be the name of a recipe"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"recipes": content["recipes"] * 2}, "two variants have the same name"),
    ):
        path = tmp_path / "study.json"
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError, match=sentence):
            read_study(str(path))
    words = ["study", "--data", str(tmp_path / "no"), "--out", str(tmp_path / "out")]
    assert main([*words, "--study", "small", "--device", "cpu"]) == 1
    assert "There is no dataset folder" in capsys.readouterr().err
