"""Datasets and runs as processes leave them: what FlareTrain's panel must show, made in no time."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.labels import targets
from FlareSegmentLib.volume import Volume
from FlareTrainLib import run_folder
from FlareTrainLib.activity import DOING
from FlareTrainLib.add_case import NewCase, add_case, make_dataset
from FlareTrainLib.case_table import REPORT, CaseRow
from FlareTrainLib.process_identity import start_mark
from FlareTrainLib.settings import write_json

STEPS = 100


def many_cases(data: Path, names: list[str], judging: int = 0) -> Path:
    """Make a dataset of links to one small scan; the last `judging` cases are for validation."""
    ids = tuple(target.id for target in targets())
    make_dataset(data)
    drawn = np.zeros((8, 16, 16), np.uint8)
    drawn[2:6, 4:12, 4:12] = 1
    scan = Volume(np.where(drawn, 100, -900).astype(np.int16), np.diag([-9.0, -9.0, 9.0, 1.0]))
    add_case(data, NewCase("original", ids), scan, drawn)
    for place, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
        keep = data / f"{place}.original.nii.gz"
        (data / place / f"original{ending}.nii.gz").rename(keep)
        for name in names:
            (data / place / f"{name}{ending}.nii.gz").symlink_to(keep)
    known = {name: {"annotated": [1], "absent": list(ids[1:])} for name in names}
    write_json(data / "annotated.json", known)
    if judging:
        write_json(data / "split.json", dict.fromkeys(names[-judging:], "validation"))
    return data


def checked(data: Path, findings: Mapping[str, tuple[str, ...]]) -> None:
    """Leave what a check leaves that found these things."""
    rows = [
        CaseRow(path.name.removesuffix("_0000.nii.gz"), "training", "liver", ())
        for path in sorted((data / "imagesTr").iterdir())
    ]
    content = [
        {**vars(row), "sources": [], "findings": list(findings.get(row.name, ()))} for row in rows
    ]
    (data / "check").mkdir()
    write_json(data / "check" / REPORT, {"notes": [], "rows": content})
    outcome = {"state": "finished", "message": f"{len(rows)} cases, {len(findings)} findings."}
    write_json(data / "check" / "outcome.json", outcome)
    write_json(data / "check" / "process.json", _gone())


def a_run(
    data: Path, state: str, message: str = "", name: str = "", minutes: float | None = None
) -> Path:
    """Make a run's folder as a process leaves it at step 40 of 100."""
    recipe = data.parent / "r.json"
    network = {"training": {"fit": {"steps": STEPS}}}
    recipe.write_text(json.dumps({"name": "tiny", "network": network}))
    settings = run_folder.RunSettings(data, str(recipe), "cpu", minutes)
    run = run_folder.create_run(settings, name)
    write_json(run / "recipe.json", {"name": "tiny", "network": network})
    write_json(run / "process.json", _gone())
    write_json(run / "outcome.json", {"state": state, "message": message})
    log = run / "network" / "fit" / "log.jsonl"
    log.parent.mkdir(parents=True)
    lines: list[dict[str, Any]] = [
        {"step": n, "seconds_per_step": 2.0, "loss": 3.0 - n / 50} for n in (20, 40)
    ]
    lines.append({"step": 40, "validation": {"liver": 0.5, "spleen": 0.25}})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def died(run: Path) -> Path:
    """Let a run have ended without a word, as when the computer is switched off."""
    (run / "outcome.json").unlink()
    return run


def alive(run: Path, **activity: Any) -> Path:
    """Let a run be at work: this very process is what works."""
    (run / "outcome.json").unlink()
    mark = start_mark(os.getpid())
    process = {"pid": os.getpid(), "mark": mark, "host": platform.node(), "started": time.time()}
    write_json(run / "process.json", process)
    if activity:
        write_json(run / DOING, activity)
    return run


def scored(run: Path, ours: float, bundled: float, cases: int = 2, newest: float = -1) -> Path:
    """Give a finished run a model, and evaluations with these mean scores."""
    keys = [target.key for target in targets()]
    (run / "bundle").mkdir()
    write_json(run / "bundle" / "model.json", {"name": "tiny", "facts": {}})
    write_json(run / "bundle" / "score.json", {"score": ours})
    for folder, mean in (("latest", newest if newest >= 0 else ours), ("bundled", bundled)):
        (run / folder).mkdir()
        means = {key: {"dsc": mean, "nsd": mean, "cases": cases} for key in keys}
        content = {
            "summary": {"organs_in_view": {"dsc": mean}, "tumor": {"dsc": mean}},
            "targets": means,
            "cases": [
                {"case": f"case {n}", "targets": {"liver": {"dsc": mean - n / 100}}}
                for n in range(cases)
            ],
        }
        write_json(run / folder / "evaluation.json", content)
    return run


def _gone() -> dict[str, Any]:
    """A process that is not there any more."""
    return {"pid": 2**22 + 1, "mark": "gone", "host": platform.node(), "started": time.time()}
