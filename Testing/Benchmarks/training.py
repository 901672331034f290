"""Training steps against the bare forward and backward pass of the same network.

The house network on one synthetic scan with all augmentation, synthetic tumors and CutMix on.
The bare pass, a step on a batch that is there, and the loop of `FlareTrainLib.fit` itself take
turns in one process, so that whatever else the computer does meets all of them. The loop draws its
batches itself, and once more with a thread that draws them in the background. Hiding them needs a
processor core, or a GPU, that the network leaves free.

    .venv-bench/bin/python Testing/Benchmarks/training.py
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import inputs
from inputs import Options
from measuring import ScriptFailedError, markdown_table, measure, runs_said

PATCH = (64, 112, 128)
STEPS = 4
"""Steps of a turn; their mean counts, because some batches take far longer to draw than others."""
TURNS = 6
AIM_PERCENT = 15
"""What a training step may take beyond the bare pass."""

ROWS = {
    "bare": "forward and backward pass",
    "step": "with loss, optimizer and average",
    "loop_0": "with batches drawn in the loop",
    "loop_2": "with batches drawn in the background",
}


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    runs = [measure("training.py", "--once").result for _ in range(chosen.runs)]
    bare = statistics.median(run["bare"] for run in runs)
    rows = []
    for name, words in ROWS.items():
        seconds = statistics.median(run[name] for run in runs)
        rows.append((words, f"{seconds:.2f}", f"{100 * seconds / bare:.0f} %"))
    size, device = " x ".join(map(str, PATCH)), runs[0]["device"]
    # As FlareTrainLib.fit does by default.
    used = "loop_0" if device == "cpu" else "loop_2"
    share = 100 * statistics.median(run[used] for run in runs) / bare
    reached = "reached" if share <= 100 + AIM_PERCENT else "missed"
    return (
        f"One training step of the house network, batch 1, {size} voxels, on {device}, median of "
        f"{TURNS} turns of {STEPS} steps; {runs_said(chosen.runs)}, each a process. A training on "
        f"this device works {ROWS[used]}: {share:.0f} % of the bare pass; at most "
        f"{100 + AIM_PERCENT} % was aimed for and "
        f"is {reached}.\n\n" + markdown_table(("step", "s", "of the bare pass"), rows)
    )


def _packed(folder: Path) -> None:
    """One scan of stacked organs with tumors, enough for every augmentation to have work."""
    import numpy as np

    from FlareTrainLib.packing import PackedCase, pack_case, write_index

    spacing = (2.5, 2.0, 2.0)
    rng = np.random.default_rng(0)
    labels = np.zeros((128, 160, 192), np.uint8)
    for organ in range(1, 14):
        k, j, i = rng.integers(10, 70, 3)
        labels[k : k + 40, j : j + 50, i : i + 60] = organ
    labels[60:70, 70:85, 70:85] = 14
    image = (40 + 6 * labels + rng.normal(0, 12, labels.shape)).astype(np.int16)
    case = PackedCase("synthetic", tuple(range(1, 15)), (), "annotated")
    pack_case(folder, case, image, labels, spacing, spacing)
    write_index(folder, [case], spacing)


def _once() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _packed(Path(folder))
        return _measured(Path(folder))


def _measured(folder: Path) -> dict[str, Any]:
    import torch

    from FlareSegmentLib.devices import choose_device
    from FlareTrainLib.fit import fit
    from FlareTrainLib.processes import Processes
    from FlareTrainLib.trainer import Trainer

    class TimedTrainer(Trainer):
        """Leaves the loop after some steps and keeps when each of them ended."""

        ends: list[float]

        def train_step(self, batch: Any) -> dict[str, Any]:
            terms = super().train_step(batch)
            self.ends.append(time.perf_counter())
            if len(self.ends) > STEPS:
                self.stop()
            return terms

    device, _ = choose_device("auto")
    settings, sampler = _settings_and_sampler(folder, device)
    trainer = TimedTrainer(folder, sampler, settings, Processes(device=device))
    batch = trainer.draw(0)
    mixed = trainer.precision != torch.float32

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def turn(step: Callable[[], Any]) -> float:
        wait()
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        wait()
        return (time.perf_counter() - start) / STEPS

    def bare() -> None:
        trainer.network.zero_grad(set_to_none=True)
        with torch.autocast(device.type, trainer.precision, enabled=mixed):
            logits = trainer.network(batch.image)
        logits.float().mean().backward()

    def loop(prefetch: int) -> float:
        """Seconds from the end of a step to the end of the next, in the loop of a training."""
        trainer.settings = replace(settings, fit=replace(settings.fit, prefetch=prefetch))
        trainer.stopped, trainer.ends = False, []
        fit(trainer)
        return (trainer.ends[-1] - trainer.ends[0]) / STEPS

    def step() -> None:
        trainer.ends = []
        trainer.train_step(batch)

    takes: dict[str, Callable[[], float]] = {
        "bare": lambda: turn(bare),
        "step": lambda: turn(step),
        "loop_0": lambda: loop(0),
        "loop_2": lambda: loop(2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in takes}
    for number in range(TURNS + 1):
        for name, take in takes.items():
            taken = take()
            if number:  # in the first turn everything is done for the first time
                seconds[name].append(taken)
    result: dict[str, Any] = {"device": device.type, "precision": str(trainer.precision)}
    return result | {name: statistics.median(each) for name, each in seconds.items()}


def _settings_and_sampler(folder: Path, device: Any) -> tuple[Any, Any]:
    from FlareTrainLib.crop_settings import CutMixSettings, SamplingSettings
    from FlareTrainLib.packed_cases import load_cases
    from FlareTrainLib.packing import read_index
    from FlareTrainLib.sampling import CropSampler
    from FlareTrainLib.training_settings import FitSettings, TrainingSettings, completed

    settings = completed(
        TrainingSettings(
            fit=FitSettings(steps=1000),
            sampling=SamplingSettings(patches=(PATCH,), patch_weights=()),
            cutmix=CutMixSettings(probability=0.5),
        )
    )
    cases, spacing = load_cases(folder), read_index(folder)[1]
    return settings, CropSampler.of(cases, spacing, settings, device)


if __name__ == "__main__":
    if "--once" in sys.argv:
        print(json.dumps(_once()))
    else:
        try:
            print(section(inputs.options(inputs.parser(__doc__).parse_args())))
        except ScriptFailedError as problem:
            sys.exit(str(problem))
