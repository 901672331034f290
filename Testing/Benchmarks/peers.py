"""Ours and nnU-Net's predictor with the same weights, on the same volume, in turns.

.venv-bench/bin/python Testing/Benchmarks/peers.py [--peer-slices 300]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import inputs
from inputs import MissingInputError, Options
from measuring import (
    GIB,
    Measurement,
    ScriptFailedError,
    markdown_table,
    measure,
    median_run,
    runs_said,
    spread,
)

BARE = "ours, whole scan, no clean-up"
"""What nnU-Net computes too: the network alone is then compared, on the same voxels."""

TRAINED = "nnU-Net, scan prepared as in training"
"""Run once, for its DSC."""

VARIANTS = {"nnU-Net": "default", "nnU-Net, its torch resampling": "torch"}


@dataclass(frozen=True)
class Runner:
    """One way to segment the volume: a script, its first argument, and what follows."""

    name: str
    script: str
    extra: tuple[str, ...] = ()


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    try:
        import nnunetv2  # noqa: F401
    except ImportError:
        raise MissingInputError(
            "Not measured: nnunetv2 is missing here; use `make bench`."
        ) from None
    scan, labels = inputs.resampled_scan(chosen, chosen.peer_slices)
    device = ("--device", chosen.device)
    runners = [Runner("ours", "ours.py", device), Runner(BARE, "ours.py", (*device, "--bare"))]
    runners += [
        Runner(name, "nnunet_peer.py", ("--resampling", how)) for name, how in VARIANTS.items()
    ]
    runs: dict[str, list[Measurement]] = {runner.name: [] for runner in runners}
    # In turns, so that a busy minute of the machine does not fall on one of them only.
    for _ in range(chosen.runs):
        for runner in runners:
            output = _output(chosen, runner.name)
            runs[runner.name].append(measure(runner.script, model, scan, output, *runner.extra))
    runs[TRAINED] = [
        measure("nnunet_peer.py", model, scan, _output(chosen, TRAINED), "--resampling", "trained")
    ]
    scores = {name: _mean_dsc(chosen, _output(chosen, name), labels) for name in runs}
    ours = median_run(runs["ours"])
    rows = []
    for name, measured in runs.items():
        run = median_run(measured)
        rows.append(
            (
                name,
                f"{run.seconds:.1f}",
                spread(measured),
                f"{run.case_seconds:.1f}",
                f"{run.seconds / ours.seconds:.1f}",
                f"{run.case_seconds / ours.case_seconds:.1f}",
                f"{run.peak_bytes / GIB:.2f}",
                f"{100 * scores[name]:.2f}",
            )
        )
    head = ("", "s", "range", "s after start-up", "ratio", "ratio after start-up", "GiB", "DSC")
    # The sizes come from the run itself, so that a rehearsal says that it is one.
    size = " x ".join(str(n) for n in ours.result["size"][::-1])
    return (
        f"Volume of {size} voxels ({inputs.DEFAULT_CASE} with its slices interpolated), the same "
        f"weights, file to file on CPU; {runs_said(chosen.runs)} in turns. Ours ran in "
        f"{ours.result['precision']}, nnU-Net in float32 with step 0.5, no mirroring, "
        "`perform_everything_on_device` off. DSC: mean of the organs the reference has. nnU-Net "
        "has neither our localiser nor our clean-up nor the model's logit offsets: its DSC "
        f"compares with that of '{BARE}', "
        f"{_points(scores, BARE, 'nnU-Net')} apart. It also prepares the scan otherwise than the "
        "network knows from its training (cubic samples, padding of 40 HU); with the same "
        f"preparation (run once) they are {_points(scores, BARE, TRAINED)} apart.\n\n"
        + markdown_table(head, rows)
    )


def _points(scores: dict[str, float], one: str, other: str) -> str:
    return f"{100 * (scores[one] - scores[other]):+.2f} points"


def _output(chosen: Options, name: str) -> Path:
    word = "".join(letter if letter.isalnum() else "_" for letter in name)
    return chosen.work / f"peer_{word}.nii.gz"


def _mean_dsc(chosen: Options, prediction: Path, labels: Path) -> float:
    """Mean DSC of the annotated organs that the reference has."""
    from FlareSegmentLib.evaluation import evaluate_folders, read_annotated

    annotated = read_annotated(inputs.validation_folder(chosen) / "annotated.json")
    case = labels.name.removesuffix("_label.nii.gz")
    result = evaluate_folders(prediction, labels, {case: annotated[inputs.DEFAULT_CASE]})
    return float(result.summary()["organs_in_view"]["dsc"])


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
