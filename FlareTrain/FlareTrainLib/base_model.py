"""Training of the bundled model in one command: pack, localiser, network, bundle.

The run folder holds ``packed/`` and ``packed_localiser/`` (the scans on both working grids),
``localiser/`` and ``network/`` (two training runs), ``latest/`` (the newest bundle, with its
evaluation) and ``bundle/``: the bundle with the best validation score so far. The command can be
stopped at any time and goes on where it was.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import InputError

from .augmentation import AugmentationSettings
from .evaluation import ReferenceCase, evaluate_bundle, find_reference_cases, mean_score
from .export import export_bundle
from .fit import FitSettings, Trainer, write_settings
from .negative_cases import add_negative_cases
from .packing import pack_case, read_case, read_index, write_index
from .reference_data import pack_reference_data
from .sampling import CropSampler, SamplingSettings, load_cases
from .settings import read_json, settings_from_json, settings_to_json, write_json
from .synthetic_tumors import TumorSettings

logger = logging.getLogger(__name__)

SETTINGS = "base.json"
BUNDLE = "bundle"
SCORE = "score.json"


@dataclass(frozen=True)
class NetworkTraining:
    """How one of the two networks is trained.

    Attributes
    ----------
    spacing
        Working grid (k, j, i) mm.
    patch
        Largest window (k, j, i) voxels at inference.
    negatives
        Synthetic volumes without abdomen, of each kind.
    """

    spacing: tuple[float, float, float] = (2.0, 1.5, 1.5)
    patch: tuple[int, int, int] = (96, 256, 256)
    negatives: int = 6
    fit: FitSettings = field(default_factory=lambda: FitSettings(steps=3500))
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    tumors: TumorSettings = field(default_factory=TumorSettings)


def _localiser_training() -> NetworkTraining:
    return NetworkTraining(
        spacing=(6.0, 6.0, 6.0),
        patch=(192, 128, 128),
        # The localiser alone decides that a scan shows no abdomen: more volumes without one.
        negatives=16,
        fit=FitSettings(
            steps=1600,
            learning_rate=2e-3,
            widths=(16, 24, 32, 48),
            stem_stride=(1, 1, 1),
            average=0.99,
        ),
        sampling=SamplingSettings(
            patches=((64, 64, 80), (48, 56, 72), (32, 48, 64), (16, 48, 64), (8, 48, 64)),
            patch_weights=(0.3, 0.3, 0.2, 0.12, 0.08),
            foreground=0.35,
            negative=0.15,
        ),
        augmentation=AugmentationSettings(elastic_mm=10, noise=20),
        tumors=TumorSettings(probability=0.15),
    )


@dataclass(frozen=True)
class BaseSettings:
    """Everything that decides what the bundled model becomes.

    Attributes
    ----------
    name, version
        Of the bundle.
    network, localiser
        The two trainings.
    localiser_share
        Share of the time budget for the localiser.
    leg_minutes
        Time between two bundles.
    """

    name: str = "flare-base"
    version: str = "0.1"
    network: NetworkTraining = field(default_factory=NetworkTraining)
    localiser: NetworkTraining = field(default_factory=_localiser_training)
    localiser_share: float = 0.15
    leg_minutes: float = 20.0


@dataclass(frozen=True)
class BaseArguments:
    """What ``flare-train base`` takes.

    Attributes
    ----------
    data
        Folder with ``ct``, ``manual`` and ``pseudo``, and ``validation`` if there is one.
    run
        The run's folder; made when missing, gone on with when not.
    minutes
        Time budget of this call, packing not counted.
    device
        "auto", "cpu" or "cuda".
    settings
        JSON file of `BaseSettings`, or None for those of the run or the defaults.
    validate
        Whether a bundle must score better on ``data/validation`` to replace the best one.
    """

    data: Path
    run: Path
    minutes: float
    device: str = "auto"
    settings: Path | None = None
    validate: bool = True


def train_base_model(arguments: BaseArguments) -> Path:
    """Train, or go on training, the bundled model; the folder of the best bundle.

    Raises
    ------
    InputError
        When the data folder or the settings cannot be used, or the run was begun with others.
    """
    run = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    settings = _settings(arguments)
    cases: list[ReferenceCase] = []
    if arguments.validate and (arguments.data / "validation").is_dir():
        cases = find_reference_cases(arguments.data / "validation")
    pack_both(arguments.data, run, settings)
    device = _device(arguments.device)
    deadline = time.monotonic() + arguments.minutes * 60

    localiser_minutes = arguments.minutes * settings.localiser_share
    train_network(run, "localiser", settings.localiser, localiser_minutes, device)
    while True:
        left = (deadline - time.monotonic()) / 60
        leg = min(settings.leg_minutes, max(left, 0.0))
        finished = train_network(run, "network", settings.network, leg, device)
        _keep_better(arguments, settings, cases)
        # The budget is checked after a leg, so that every call leaves a bundle.
        if finished or time.monotonic() >= deadline:
            return run / BUNDLE


def pack_both(data: Path, run: Path, settings: BaseSettings) -> None:
    """Pack the scans for the network and, from these, for the localiser; done once per run."""
    fine, coarse = run / "packed", run / "packed_localiser"
    if not (fine / "complete").exists():
        pack_reference_data(data, fine, settings.network.spacing)
        add_negative_cases(fine, settings.network.negatives)
        (fine / "complete").touch()
    if not (coarse / "complete").exists():
        coarse.mkdir(exist_ok=True)
        cases, spacing = read_index(fine)
        for case in cases:
            image, labels = read_case(fine, case.name)
            pack_case(coarse, case, image, labels, spacing, settings.localiser.spacing)
        write_index(coarse, cases, settings.localiser.spacing)
        add_negative_cases(coarse, settings.localiser.negatives)
        (coarse / "complete").touch()


def train_network(
    run: Path, part: str, training: NetworkTraining, minutes: float, device: str
) -> bool:
    """Train one network (`part` is ``network`` or ``localiser``) for some minutes.

    Returns
    -------
    Whether its schedule has ended.
    """
    packed = run / ("packed" if part == "network" else "packed_localiser")
    return fit_packed(run / part, packed, training, minutes, device)


def fit_packed(
    run: Path, packed: Path, training: NetworkTraining, minutes: float | None, device: str
) -> bool:
    """Train one network on packed cases, or go on with it; whether its schedule has ended."""
    if not (packed / "index.json").is_file():
        raise InputError(
            f"{packed} holds no packed cases: index.json is missing. Pack a dataset first: "
            "flare-train pack."
        )
    if not (run / "run.json").exists():
        write_settings(run, training.fit)
    sampler = CropSampler(
        load_cases(packed),
        read_index(packed)[1],
        training.sampling,
        training.augmentation,
        training.tumors,
    )
    trainer = Trainer(run, sampler, training.fit, _device(device))
    if trainer.resume():
        logger.info("%s goes on at step %d of %d", run, trainer.step, training.fit.steps)
    if trainer.step < training.fit.steps:
        trainer.fit(float("inf") if minutes is None else minutes)
    return trainer.step >= training.fit.steps


def export_base_bundle(run: Path, folder: Path, settings: BaseSettings) -> None:
    """Write the newest weights of both networks as a bundle into `folder`."""
    localiser = run / "localiser"
    export_bundle(
        folder,
        settings.name,
        settings.version,
        run / "network",
        settings.network.spacing,
        settings.network.patch,
        localiser if (localiser / "checkpoint.pt").exists() else None,
        settings.localiser.spacing,
        settings.localiser.patch,
    )


def _keep_better(
    arguments: BaseArguments, settings: BaseSettings, cases: list[ReferenceCase]
) -> None:
    """Export, score on the validation cases, and keep the bundle if it is the best so far."""
    run = arguments.run
    latest, best = run / "latest", run / BUNDLE
    export_base_bundle(run, latest / BUNDLE, settings)
    score: dict[str, Any] = {"score": None}
    if cases:
        evaluation = evaluate_bundle(latest / BUNDLE, cases, latest, arguments.device)
        score = {"score": mean_score(evaluation), **evaluation.summary()}
        logger.info("validation: %s", score)
    before = read_json(best / SCORE)["score"] if (best / SCORE).exists() else None
    if before is not None and score["score"] is not None and score["score"] < before:
        logger.info("the bundle of before (%.4f) stays", before)
        return
    # Copied beside, then renamed: a bundle is never half of one and half of another.
    fresh = run / f".{BUNDLE}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(latest / BUNDLE, fresh)
    write_json(fresh / SCORE, score)
    if best.exists():
        shutil.rmtree(best)
    fresh.rename(best)


def _settings(arguments: BaseArguments) -> BaseSettings:
    """Settings of the run; those of a run that has begun cannot change."""
    kept = arguments.run / SETTINGS
    given = None
    if arguments.settings is not None:
        content = read_json(arguments.settings)
        given = settings_from_json(BaseSettings, content, arguments.settings.name)
    if kept.exists():
        settings = settings_from_json(BaseSettings, read_json(kept), str(kept))
        if given is not None and given != settings:
            raise InputError(
                f"The run in {arguments.run} was begun with other settings than "
                f"{arguments.settings}. Choose another --run, or leave --settings out to go on."
            )
        return settings
    settings = given or BaseSettings()
    write_json(kept, settings_to_json(settings))
    return settings


def _device(name: str) -> str:
    from FlareSegmentLib.devices import choose_device

    return choose_device(name)[0].type
