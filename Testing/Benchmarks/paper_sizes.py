"""One real training step of every network of the papers' recipes, at full patch and batch.

Forward, loss, backward, optimizer, on a synthetic scan, each network in a process of its own.

    .venv-bench/bin/python Testing/Benchmarks/paper_sizes.py [p1 p2 ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inputs import Options
from measuring import GIB, ScriptFailedError, markdown_table, measure

if TYPE_CHECKING:
    from FlareTrainLib.recipe import NetworkStage

SYSTEMS = ("p1", "p2", "p3", "p4", "p5", "best")


def section(chosen: Options) -> str:
    """Measure all systems and give the part of the report."""
    return table(SYSTEMS)


def table(systems: tuple[str, ...]) -> str:
    """Give a row per network; networks that a recipe trains twice alike stand once."""
    rows = []
    for system in systems:
        for name in _networks(system):
            print(f"{system} {name} ...", file=sys.stderr, flush=True)
            run = measure("paper_sizes.py", "--once", system, name)
            result = run.result
            rows.append(
                (
                    f"{system} {name}",
                    result["network"],
                    f"{result['parameters'] / 1e6:.1f}",
                    f"{result['batch']} x {' x '.join(map(str, result['patch']))}",
                    result["precision"],
                    f"{result['seconds']:.0f}",
                    f"{run.peak_bytes / GIB:.1f}",
                    f"{result['loss']:.2f}",
                )
            )
    head = ("", "network", "million parameters", "batch and patch", "precision")
    return (
        f"One training step at the papers' sizes, batch drawn and augmented before, on "
        f"{result['device']}; the loss is finite and every weight has a gradient.\n\n"
        + markdown_table((*head, "step, processor s", "peak memory, GiB", "loss"), rows)
    )


def _networks(system: str) -> list[str]:
    from FlareTrainLib.recipe import read_recipe
    from FlareTrainLib.study_settings import stages_of

    names: dict[str, str] = {}
    for name, stage in stages_of(read_recipe(system)).items():
        training = stage.training
        alike = json.dumps(
            [training.network.arguments, training.network.name, training.sampling.patches]
        )
        names.setdefault(f"{alike} {training.targets}", name)
    return list(names.values())


def _packed(folder: Path, patch: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    """One scan of the patch's size with every target in it."""
    import numpy as np

    from FlareTrainLib.packing import PackedCase, write_case, write_index

    rng = np.random.default_rng(0)
    labels = np.zeros(patch, np.uint8)
    for target in range(1, 15):
        corner = [int(rng.integers(0, n - n // 4)) for n in patch]
        labels[tuple(slice(c, c + n // 4) for c, n in zip(corner, patch, strict=True))] = target
    image = (40 + 6 * labels + rng.normal(0, 12, patch)).astype(np.int16)
    write_case(folder, "synthetic", image, labels)
    case = PackedCase("synthetic", tuple(range(1, 15)), (), "annotated")
    write_index(folder, [case], spacing)


def _once(system: str, name: str) -> dict[str, Any]:
    import torch

    from FlareSegmentLib.devices import choose_device
    from FlareTrainLib.packed_cases import load_cases
    from FlareTrainLib.processes import Processes
    from FlareTrainLib.recipe import read_recipe
    from FlareTrainLib.sampling import CropSampler
    from FlareTrainLib.study_settings import stages_of
    from FlareTrainLib.trainer import Trainer
    from FlareTrainLib.training_settings import completed

    stage: NetworkStage = stages_of(read_recipe(system))[name]
    device, _ = choose_device("auto")
    settings = completed(stage.training)
    patch = max(settings.sampling.patches, key=lambda size: size[0] * size[1] * size[2])
    spacing = (2.0, 2.0, 2.0) if stage.grid.fixed_size else stage.grid.spacing
    with tempfile.TemporaryDirectory() as folder:
        _packed(Path(folder), patch, spacing)
        sampler = CropSampler.of(load_cases(Path(folder)), spacing, settings, device)
        trainer = Trainer(Path(folder), sampler, settings, Processes(device=device))
        batch = trainer.draw(0)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    # Processor time on a CPU: other programs do not count.
    now = time.perf_counter if device.type == "cuda" else time.process_time
    start = now()
    terms = trainer.train_step(batch)
    loss = float(torch.stack(list(terms.values())).sum())
    seconds = now() - start
    still = [
        key
        for key, parameter in trainer.network.named_parameters()
        if parameter.grad is None or torch.equal(before[key], parameter)
    ]
    if still:
        raise SystemExit(f"{len(still)} weights did not move: {', '.join(still[:5])}")
    return {
        "network": settings.network.name,
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "batch": len(batch.image),
        "patch": list(batch.image.shape[2:]),
        "precision": str(trainer.precision).removeprefix("torch."),
        "device": device.type,
        "seconds": seconds,
        "loss": loss,
    }


if __name__ == "__main__":
    if "--once" in sys.argv:
        print(json.dumps(_once(*sys.argv[2:4])))
    else:
        try:
            print(table(tuple(sys.argv[1:]) or SYSTEMS))
        except ScriptFailedError as problem:
            sys.exit(str(problem))
