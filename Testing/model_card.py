"""Measure a model on the validation scans and write its figures into its folder.

Usage: python Testing/model_card.py [--model Resources/Models/flare-base] [--shared ../shared]

Segments the validation scans with `flare-segment`, evaluates them, and writes

* the scores, and the facts of Testing/model_facts.json, into `model.json`,
* the generated blocks of the card, `README.md`; the parts measured by `make bench` come from
  Testing/Benchmarks/RESULTS.json and only where they were measured with the same weights,
* of the bundled model also Screenshots/failures.png, the figures in the repository's README, its
  row in FlareTrain/STUDY.md, and in RESULTS.md what was measured with other weights.

`make measure` runs it after a new model was put into the folder, and again after the benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from card_blocks import (
    BENCHMARK_BLOCKS,
    ROOT,
    benchmark_block,
    data_table,
    failure_list,
    replaced,
    score_facts,
    score_table,
    titled,
)
from failure_pictures import SHOWN, draw_failures, worst_organs
from picture_origin import sign
from readme_figures import BLOCK, readme_block, with_trial
from results_page import page, read_measured, weights_of

if TYPE_CHECKING:
    from FlareSegmentLib.evaluation_report import Evaluation

MEASURED_BY = (
    "python Testing/model_card.py: flare-segment on the validation scans at original resolution, "
    "then flare-segment evaluate (mode correct); organs_dsc is the mean of the organs the "
    "reference has"
)
MODEL = ROOT / "Resources" / "Models" / "flare-base"
RESULTS = ROOT / "Testing" / "Benchmarks" / "RESULTS.json"
FACTS = ROOT / "Testing" / "model_facts.json"
PICTURE = ROOT / "Screenshots" / "failures.png"
README = ROOT / "README.md"
STUDY = ROOT / "FlareTrain" / "STUDY.md"


def segment(model: Path, validation: Path, output: Path) -> None:
    """Segment the validation scans as a user does.

    Raises
    ------
    subprocess.CalledProcessError
        When `flare-segment` failed; it has said why.
    """
    scans = sorted(validation.glob("*_ct.nii.gz"))
    command = [sys.executable, "-m", "FlareSegmentLib", "segment", *map(str, scans)]
    command += ["-o", str(output), "--model", str(model), "--device", "cpu", "--overwrite"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "FlareSegment"), "PYTHONUTF8": "1"}
    subprocess.run(command, check=True, env=environment)


def write_model_json(model: Path, evaluation: Evaluation, facts: dict[str, Any]) -> dict[str, Any]:
    """Write facts and scores into `model.json`; give its content."""
    path = model / "model.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    own = content.setdefault("facts", {})
    own |= facts
    own |= {"scores": score_facts(evaluation), "measured_by": MEASURED_BY}
    _write(path, json.dumps(content, indent=2) + "\n")
    return content


def write_card(model: Path, content: dict[str, Any], evaluation: Evaluation, results: Path) -> None:
    """Write title and generated blocks of the card.

    Raises
    ------
    ValueError
        When the card lacks a block.
    """
    path = model / "README.md"
    weights, parts = weights_of(model), read_measured(results)
    blocks = {
        "scores": score_table(evaluation),
        "failures": failure_list(evaluation),
        "data": data_table(content["facts"].get("training_data", ())),
    }
    blocks |= {block: benchmark_block(parts, block, weights) for block in BENCHMARK_BLOCKS}
    card = titled(path.read_text(encoding="utf-8"), content["name"], content["version"])
    _write(path, replaced(card, blocks))


def write_pages() -> None:
    """Write what the repository's pages say of the bundled model.

    Raises
    ------
    ValueError
        When a page lacks the place.
    """
    content = json.loads((MODEL / "model.json").read_text(encoding="utf-8"))
    weights, measured = weights_of(MODEL), read_measured(RESULTS)
    block = {BLOCK: readme_block(content, measured, weights)}
    readme = replaced(README.read_text(encoding="utf-8"), block, "README.md")
    scores = content["facts"]["scores"]
    study = with_trial(STUDY.read_text(encoding="utf-8"), content["version"], scores)
    _write(README, readme)
    _write(STUDY, study)
    _write(RESULTS.with_suffix(".md"), page(measured, weights))


def write_picture(evaluation: Evaluation, segmentations: Path, validation: Path) -> None:
    """Draw the worst organs of the cases whose license allows it."""
    failures = [
        failure for case in evaluation.cases if case.case in SHOWN for failure in worst_organs(case)
    ]
    if failures:
        draw_failures(failures, segmentations, validation, PICTURE)
        sign(PICTURE, weights_of(MODEL))


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    command = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("--model", type=Path, default=MODEL)
    add("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/validation")
    add("--facts", type=Path, default=FACTS, help="data, licenses and procedure of the training")
    add("--results", type=Path, default=RESULTS, help="figures of `make bench`")
    add("--work", type=Path, default=ROOT / "build" / "card", help="folder for label maps")
    add("--keep", action="store_true", help="evaluate the label maps that are in the work folder")
    options = command.parse_args(arguments)
    validation = options.shared / "data" / "validation"
    if not validation.is_dir():
        sys.exit(f"There is no folder {validation} with the validation scans; give --shared.")
    from FlareSegmentLib.evaluation import evaluate_folders

    if not options.keep:
        segment(options.model, validation, options.work)
    evaluation = evaluate_folders(options.work, validation)
    facts = json.loads(options.facts.read_text(encoding="utf-8"))
    content = write_model_json(options.model, evaluation, facts)
    write_card(options.model, content, evaluation, options.results)
    if options.model.resolve() == MODEL:
        write_picture(evaluation, options.work, validation)
        write_pages()
    print(evaluation.as_table())


if __name__ == "__main__":
    main()
