"""The card of a model states measured figures, those of its own weights."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.evaluation_report import CaseEvaluation, Evaluation
from FlareSegmentLib.lesions import LesionCount
from FlareSegmentLib.metrics import Score
from FlareSegmentLib.phantom import PhantomSettings, make_phantom


def load(repository: Path, name: str) -> ModuleType:
    """A script of Testing, imported as its neighbors import it."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, repository / "Testing" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def blocks(repository: Path) -> ModuleType:
    return load(repository, "card_blocks")


@pytest.fixture
def evaluation() -> Evaluation:
    """Liver in both cases, esophagus absent in the first and found, tumor in the second."""
    first = CaseEvaluation("one", (Score(1, 0.9, 0.8, 90, 100), Score(10, 0, 0, 5, 0)), None)
    lesions = LesionCount(3, 2, 4, 1, tumor_free=False)
    second = CaseEvaluation(
        "two", (Score(1, 0.7, 0.6, 70, 100), Score(14, 0.5, 0.4, 9, 9)), lesions
    )
    return Evaluation("correct", (first, second))


def test_table_has_mean_range_and_number_of_scans(
    blocks: ModuleType, evaluation: Evaluation
) -> None:
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in blocks.score_table(evaluation).splitlines()
    }
    liver = ["90.0 / 80.0", "70.0 / 60.0", "80.0 / 70.0", "70 to 90 / 60 to 80", "2"]
    assert rows["liver"] == liver
    assert rows["esophagus"] == ["absent, found", "-", "-", "-", "0"]
    assert rows["spleen"] == ["-", "-", "-", "-", "0"]
    assert rows["tumor"][1:] == ["50.0 / 40.0", "50.0 / 40.0", "50 to 50 / 40 to 40", "1"]
    # Neither an absent organ nor the tumor is in the mean of the organs.
    assert rows["**organs in view**"][:3] == [
        "**90.0 / 80.0**",
        "**70.0 / 60.0**",
        "**80.0 / 70.0**",
    ]


def test_model_json_says_what_was_absent_and_which_lesions_were_found(
    blocks: ModuleType, evaluation: Evaluation
) -> None:
    facts = blocks.score_facts(evaluation)
    assert facts["one"]["organs_dsc"] == 0.9
    assert facts["one"]["absent"] == ["esophagus"]
    assert facts["two"]["lesions_found"] == 2
    assert facts["two"]["lesions_false"] == 1
    assert "lesions_found" not in facts["one"]


def test_worst_organs_are_named(blocks: ModuleType, evaluation: Evaluation) -> None:
    text = blocks.failure_list(evaluation)
    assert "* one: esophagus found where there is none, liver 90." in text
    assert "* two: tumor 50, liver 70." in text


def test_figures_of_other_weights_are_not_repeated(blocks: ModuleType) -> None:
    part = {"text": "DSC 99", "model": "m 1 (abc)", "machine": "a machine"}
    own = blocks.benchmark_block({"tumor": part}, "tumor", "m 1 (abc)")
    assert "DSC 99" in own
    assert "a machine" in own
    other = blocks.benchmark_block({"tumor": part}, "tumor", "m 2 (def)")
    assert "99" not in other
    assert "--only tumor" in other


def test_only_the_blocks_change(blocks: ModuleType) -> None:
    start, end = blocks.start_of("data"), blocks.end_of("data")
    card = f"# old\n\nBy hand.\n{start}\n1\n2\n{end}\nBy hand too.\n"
    new = blocks.titled(blocks.replaced(card, {"data": "3"}), "m", "2")
    assert new == f"# m 2\n\nBy hand.\n{start}\n3\n{end}\nBy hand too.\n"


def test_a_card_without_the_block_is_refused(blocks: ModuleType) -> None:
    with pytest.raises(ValueError, match="no block 'data'"):
        blocks.replaced("# a card\n", {"data": "3"})


def test_card_of_the_bundled_model_shows_the_scores_of_its_model_json(repository: Path) -> None:
    folder = repository / "Resources" / "Models" / "flare-base"
    card = (folder / "README.md").read_text(encoding="utf-8")
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert card.startswith(f"# {content['name']} {content['version']}\n")
    means = next(line for line in card.splitlines() if "**organs in view**" in line)
    for case, scores in content["facts"]["scores"].items():
        again = "python Testing/model_card.py writes both"
        assert f"**{100 * scores['organs_dsc']:.1f} /" in means, f"{case}: {again}"
    for entry in content["facts"]["training_data"]:
        assert f"| {entry['name']} | {entry['license']} |" in card


def test_one_command_measures_and_writes(
    repository: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    """From a folder of scans to card and model.json, with random weights."""
    for name in ("card_blocks", "failure_pictures", "results_page", "readme_figures"):
        load(repository, name)
    tool = load(repository, "model_card")
    model = shutil.copytree(tiny_bundle, tmp_path / "model")
    names = ["scores", "failures", "data", *tool.BENCHMARK_BLOCKS]
    marks = sys.modules["card_blocks"]
    lines = [f"{marks.start_of(name)}\n{marks.end_of(name)}\n" for name in names]
    (model / "README.md").write_text("# x\n" + "".join(lines), encoding="utf-8")
    validation = tmp_path / "shared" / "data" / "validation"
    validation.mkdir(parents=True)
    volume, labels = make_phantom(PhantomSettings(seed=2, spacing=(10.0, 6.0, 6.0)))
    for name, array in (("p_ct", volume.array), ("p_label", labels)):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing((6.0, 6.0, 10.0))
        sitk.WriteImage(image, str(validation / f"{name}.nii.gz"))
    facts = tmp_path / "facts.json"
    facts.write_text('{"training_data": [{"name": "phantoms", "license": "Apache-2.0"}]}')
    words = ["--model", str(model), "--shared", str(tmp_path / "shared"), "--facts", str(facts)]
    tool.main([*words, "--work", str(tmp_path / "work"), "--results", str(tmp_path / "none.json")])
    content = json.loads((model / "model.json").read_text(encoding="utf-8"))
    assert set(content["facts"]["scores"]) == {"p"}
    card = (model / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {content['name']} {content['version']}\n")
    assert "| | p | mean |" in card
    assert "| phantoms | Apache-2.0 |" in card
    assert card.count("Not measured with these weights yet") == len(tool.BENCHMARK_BLOCKS)
