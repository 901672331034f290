"""Pages that state figures state those that were measured, with the weights that are here."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

AGAIN = "python Testing/measure.py writes it"


@pytest.fixture(scope="module", autouse=True)
def testing_folder(repository: Path) -> None:
    """The scripts import each other by their bare names."""
    for folder in ("Testing", "Testing/Benchmarks"):
        path = str(repository / folder)
        if path not in sys.path:
            sys.path.append(path)


@pytest.fixture(scope="module")
def figures(testing_folder: None) -> ModuleType:
    import readme_figures

    return readme_figures


@pytest.fixture(scope="module")
def results(testing_folder: None) -> ModuleType:
    import results_page

    return results_page


@pytest.fixture(scope="module")
def model(repository: Path) -> Path:
    return repository / "Resources" / "Models" / "flare-base"


@pytest.fixture(scope="module")
def content(model: Path) -> dict:
    return json.loads((model / "model.json").read_text(encoding="utf-8"))


def block_of(readme: str, name: str) -> str:
    import card_blocks

    return readme.split(card_blocks.start_of(name))[1].split(card_blocks.end_of(name))[0].strip()


def test_readme_states_what_model_json_and_the_benchmark_say(
    repository: Path, model: Path, content: dict, figures: ModuleType, results: ModuleType
) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    measured = results.read_measured(repository / "Testing" / "Benchmarks" / "RESULTS.json")
    block = figures.readme_block(content, measured, results.weights_of(model))
    assert block_of(readme, figures.BLOCK) == block, AGAIN
    for scores in content["facts"]["scores"].values():
        assert f" {100 * scores['organs_dsc']:.1f} |" in block


def test_readme_has_no_measured_figure_outside_of_the_block(
    repository: Path, figures: ModuleType
) -> None:
    """What is written by hand goes stale with the next model."""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    rest = readme.replace(block_of(readme, figures.BLOCK), "")
    found = re.findall(r"\d+(?:\.\d+)? ?(?:s|seconds|GiB|GB|MB|ml|%|points)\b", rest)
    found += re.findall(r"DSC[^.\n]*\d", rest)
    assert not found


def test_report_marks_what_was_measured_with_other_weights(
    repository: Path, model: Path, results: ModuleType
) -> None:
    folder = repository / "Testing" / "Benchmarks"
    measured = results.read_measured(folder / "RESULTS.json")
    page = results.page(measured, results.weights_of(model))
    assert (folder / "RESULTS.md").read_text(encoding="utf-8") == page, AGAIN


def test_study_ends_with_the_scores_of_this_version(
    repository: Path, content: dict, figures: ModuleType
) -> None:
    study = (repository / "FlareTrain" / "STUDY.md").read_text(encoding="utf-8")
    scores = content["facts"]["scores"]
    assert figures.with_trial(study, content["version"], scores) == study, AGAIN


def test_card_names_grid_windows_and_size_of_the_network(model: Path, content: dict) -> None:
    """The card's own words; the tables are compared in test_model_card."""
    card = (model / "README.md").read_text(encoding="utf-8")
    entry = content["network"]
    assert f"at {' x '.join(f'{n:g}' for n in entry['spacing'])} mm" in card
    windows = f"windows of {' x '.join(str(n) for n in entry['patch'])} voxels"
    fixed = entry["arguments"].get("norm") == "fixed"
    assert ("one pass covers the region" if fixed else windows) in card
    from FlareSegmentLib.bundle import ModelBundle

    parameters = sum(p.numel() for p in ModelBundle.load(model).network().parameters())
    assert f"{parameters / 1e6:.1f} million parameters" in card


def test_pictures_were_made_with_the_weights_that_are_here(
    repository: Path, model: Path, results: ModuleType
) -> None:
    import picture_origin

    found = {
        name: picture_origin.weights_in(repository / "Screenshots" / name)
        for name in (*measured_pictures(), "failures.png")
    }
    assert found == dict.fromkeys(found, results.weights_of(model)), AGAIN


def measured_pictures() -> tuple[str, ...]:
    import measure

    return measure.PICTURES


def part(text: str, model: str) -> dict[str, str]:
    return {"text": text, "date": "2020-01-01", "machine": "a machine", "model": model}


def test_new_weights_make_old_parts_missing_and_leave_the_others(results: ModuleType) -> None:
    measured = {
        "tumor": part("Found.", "m 1 (a)"),
        "scaling": part("Seconds.", "m 2 (b)"),
        "training": part("Steps.", "m 1 (a)"),
        "peers": part("Not measured: no nnU-Net.", "m 2 (b)"),
    }
    now = {name for name in results.PARTS if results.is_measured(measured, name, "m 2 (b)")}
    assert now == {"scaling", "training"}
    page = results.page(measured, "m 2 (b)")
    assert page.count("Measured with m 1 (a); the model is now m 2 (b)") == 1
    assert "other weights than m 2 (b): tumor." in page
    assert "2020-01-01; no trained weights; a machine." in page


def test_readme_says_which_figures_are_of_other_weights(figures: ModuleType) -> None:
    scores = {"one": {"organs_dsc": 0.5, "organs_in_view": 3}}
    table = "| volume | process s | GiB |\n| --- | ---: | ---: |\n| 9 x 9 x 300 | 1.25 | 0.5 |"
    content = {"facts": {"scores": scores}}
    block = figures.readme_block(content, {"scaling": part(table, "m 1 (a)")}, "m 2 (b)")
    assert "| one | 3 | 50.0 | - | - | - |" in block
    assert "| 9 x 9 x 300 | 1.25 | 0.5 |" in block
    assert "other weights than those here, m 1 (a): time and memory by size." in block
    assert "other weights" not in figures.readme_block(
        content, {"scaling": part(table, "m 2 (b)")}, "m 2 (b)"
    )


def test_row_of_the_version_is_replaced_or_added(figures: ModuleType) -> None:
    head = f"{figures.TRIALS}\n\nWords.\n\n| trial | a |\n|---|---|\n"
    scores = {
        "ircad_01": {"organs_dsc": 0.9, "targets": {"tumor": {"dsc": 0.25}}},
        "totalseg_example": {"organs_dsc": 0.8, "targets": {}},
    }
    row = "90.0 | - | 80.0 | - | 25.0 |"
    page = f"{head}| 9 steps: 0.2.0 | 1 |\n\nTail.\n"
    assert figures.with_trial(page, "0.2.0", scores) == f"{head}| 9 steps: 0.2.0 | {row}\n\nTail.\n"
    added = figures.with_trial(page, "0.3.0", scores)
    assert added == f"{head}| 9 steps: 0.2.0 | 1 |\n| 0.3.0 | {row}\n\nTail.\n"
    assert figures.with_trial(added, "0.3.0", scores) == added
    with pytest.raises(ValueError, match="no table"):
        figures.with_trial("# a page\n", "0.3.0", scores)


def test_every_part_has_a_place_in_the_report_and_in_the_order_of_measuring(
    results: ModuleType,
) -> None:
    import run

    import measure

    assert set(results.PARTS) == set(run.SECTIONS) == set(measure.ORDER)


def test_plan_names_what_is_missing(
    repository: Path, capsys: pytest.CaptureFixture[str], results: ModuleType, model: Path
) -> None:
    import measure

    assert measure.main(["--plan", "--only", "peers", "--again", "training"]) == 0
    said = capsys.readouterr().out
    measured = results.read_measured(repository / "Testing" / "Benchmarks" / "RESULTS.json")
    weights = results.weights_of(model)
    peers = [] if results.is_measured(measured, "peers", weights) else ["peers"]
    assert said == f"{weights}; to be measured: {', '.join([*peers, 'training'])}.\n"
