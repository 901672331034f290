"""A dataset of thousands of scans with a worklist and a finished run, for `gui_block_train`.

Usage: python Testing/Benchmarks/gui_train_data.py FOLDER CASES SLICES

Made by a process of its own: what it imports and allocates is no load on the window.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATASET = "large dataset"
LOG_LINES, SCORED = 100_000, 50


def make_dataset(folder: Path, cases: int, slices: int) -> None:
    """Make the dataset of links, its worklist, two runs as processes leave them, and a source."""
    import numpy as np

    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.volume import Volume
    from FlareTrainLib.add_case import NewCase, add_case
    from FlareTrainLib.settings import write_json

    real, data = folder / "real", folder / DATASET
    rng = np.random.default_rng(1)
    ids = tuple(target.id for target in targets())
    for number in range(2):
        image = rng.integers(-1000, 1000, (slices, 512, 512)).astype(np.int16)
        drawn = np.zeros(image.shape, np.uint8)
        for label in ids:
            k, j, i = 15 * label % (slices // 2), 25 * label, 24 * label + number
            drawn[k : k + slices // 2, j : j + 90, i : i + 90] = label
        affine = np.diag([-0.8, -0.8, 2.5, 1.0])
        add_case(real, NewCase(f"r{number}", ids), Volume(image, affine), drawn)
    annotated = {}
    for number in range(cases):
        name, source = f"case_{number:05d}", f"r{number % 2}"
        links = [(f"imagesTr/{source}_0000.nii.gz", f"imagesTr/{name}_0000.nii.gz")]
        labels = f"labelsTr/{source}.nii.gz"
        links += [(labels, f"pseudo/{teacher}/{name}.nii.gz") for teacher in ("one", "two")]
        if number % 4 == 0:
            links.append((labels, f"labelsTr/{name}.nii.gz"))
            annotated[name] = {"annotated": list(ids)}
        for original, place in links:
            (data / place).parent.mkdir(parents=True, exist_ok=True)
            (data / place).symlink_to(real / original)
    write_json(data / "annotated.json", annotated)
    judged = list(annotated)[:SCORED]
    write_json(data / "split.json", dict.fromkeys(judged, "validation"))
    write_worklist(data, cases)
    for name in ("first run", "long run"):
        make_run(data, name, judged, real / "labelsTr" / "r0.nii.gz")
    source = folder / "other program"
    source.mkdir()
    for path in sorted((data / "pseudo" / "one").iterdir())[:20]:
        (source / path.name).symlink_to(path.resolve())


def write_worklist(data: Path, cases: int) -> None:
    """Leave what a refinement of all cases leaves."""
    from FlareTrainLib.refinement_task import REFINEMENT, WORKLIST, WorklistRow
    from FlareTrainLib.settings import write_json

    rows = [
        WorklistRow(
            f"case_{n:05d}", "unlabeled", ("one", "two"), 1 - n / cases, n / cases, None,
            "pseudo organs", "", "The two sources agree."
        )
        for n in range(cases)
    ]  # fmt: skip
    (data / REFINEMENT).mkdir()
    write_json(data / REFINEMENT / WORKLIST, [asdict(row) for row in rows])


def make_run(data: Path, name: str, judged: list[str], labels: Path) -> None:
    """Leave a run with a long log, an evaluation and the bundled model as its result."""
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.resources import resources_folder
    from FlareTrainLib import run_folder, task_folder
    from FlareTrainLib.recipe import read_recipe
    from FlareTrainLib.settings import settings_to_json, write_json

    run = run_folder.create_run(run_folder.RunSettings(data, "best"), name)
    write_json(run / "recipe.json", settings_to_json(read_recipe("best").with_steps(LOG_LINES)))
    process = {"pid": 2**22 + 1, "mark": "gone", "host": task_folder.platform.node()}
    write_json(run / "process.json", {**process, "started": 1.0})
    write_json(run / "outcome.json", {"state": "finished", "message": "The model is ready."})
    log = run / "network" / "fit" / "log.jsonl"
    log.parent.mkdir(parents=True)
    keys = [target.key for target in targets()]
    with log.open("w") as file:
        for step in range(LOG_LINES):
            entry: dict[str, Any] = {"step": step, "seconds_per_step": 0.5, "loss": 2 / (step + 1)}
            file.write(json.dumps(entry) + "\n")
            if step % 1000 == 0:
                scores = {"step": step, "validation": dict.fromkeys(keys, step / LOG_LINES)}
                file.write(json.dumps(scores) + "\n")
    (run / "output.log").write_text("a line of the log\n" * 100_000)
    scores = {key: {"dsc": 0.9, "nsd": 0.8, "cases": SCORED} for key in keys}
    cases = [{"case": name, "targets": {key: {"dsc": 0.5} for key in keys}} for name in judged]
    for folder in ("latest", "bundled"):
        (run / folder).mkdir()
        write_json(run / folder / "evaluation.json", {"targets": scores, "cases": cases})
    (run / "latest" / "predictions").mkdir()
    (run / "latest" / "predictions" / f"{judged[0]}_seg.nii.gz").symlink_to(labels)
    shutil.copytree(resources_folder() / "Models" / "flare-base", run / "bundle")


if __name__ == "__main__":
    sys.path += [str(ROOT / "FlareSegment"), str(ROOT / "FlareTrain")]
    make_dataset(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
