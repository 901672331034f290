"""One training loop: a time budget, exact resume, validation, a readable log.

A run is a folder: `run.json` (settings), `checkpoint.pt` (everything needed to go on, replaced
by rename), `best.pt` (the weights that validated best), `log.jsonl` (one line per report) and
`curves.png`. Under `torchrun` every process takes its part of each batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from FlareSegmentLib.errors import InputError

from . import training_log
from .activity import tell, tell_training
from .checkpoint import BEST, write_checkpoint
from .initial_weights import initial_weights
from .packed_cases import load_cases
from .packing import read_index
from .prefetch import Prefetcher
from .processes import joined, on_stop_signals
from .sampling import CropSampler
from .settings import settings_to_json
from .trainer import Diverged, Trainer
from .training_settings import TrainingSettings, completed, settings_of_run, write_settings
from .whole_files import made_folder

Validate = Callable[[Mapping[str, Tensor]], dict[str, float]]
"""Gives the DSC per target key of averaged weights."""


@dataclass(frozen=True)
class FitResult:
    """Where a training is.

    Attributes
    ----------
    step
        Steps done, in all calls together.
    finished
        Whether the schedule has ended.
    stopped
        Whether a signal ended this call.
    seconds
        Of training in this call, validation on the way included.
    """

    step: int
    finished: bool
    stopped: bool
    seconds: float


def fit(trainer: Trainer, minutes: float | None = None, validate: Validate | None = None) -> None:
    """Train until the schedule or the time budget ends, or SIGTERM or SIGINT comes.

    Raises
    ------
    FlareError
        If the training diverges again and again, or its state cannot be written.
    """
    settings, processes = trainer.settings.fit, trainer.processes
    start = last_save = time.monotonic()
    before, begun = trainer.seconds, trainer.step
    tell_training(trainer.run, minutes)
    trainer.save()
    batches, reports = _batches(trainer), _reports(trainer)
    try:
        with on_stop_signals(trainer.stop):
            while not trainer.finished:
                now = time.monotonic()
                late = minutes is not None and trainer.step > begun and now - start > minutes * 60
                # Asked together, so that all processes do the same.
                stop, due = processes.any(
                    trainer.stopped or late, now - last_save > settings.save_every
                )
                if stop:
                    break
                try:
                    if due:
                        last_save = now
                        trainer.save()
                        _draw_curves(trainer)
                    rate = trainer.learning_rate()
                    reports.add(trainer.train_step(batches.next()), trainer.step, rate)
                    trainer.seconds = before + time.monotonic() - start
                    if settings.validate_every and trainer.step % settings.validate_every == 0:
                        _validate(trainer, validate)
                        tell("training")
                except Diverged:
                    batches.close()
                    reports.finish()
                    trainer.recover()
                    batches, reports = _batches(trainer), _reports(trainer)
    finally:
        batches.close()
    reports.finish()
    _finish(trainer, validate)


def _finish(trainer: Trainer, validate: Validate | None) -> None:
    every = trainer.settings.fit.validate_every
    if trainer.finished and (not every or trainer.step % every):
        _validate(trainer, validate)
    try:
        trainer.save()
    except Diverged:
        # Found out at the very end: the last good checkpoint is what there is.
        trainer.recover()
    _draw_curves(trainer)
    trainer.processes.wait()


def _batches(trainer: Trainer) -> Prefetcher:
    ahead = trainer.settings.fit.prefetch
    if ahead < 0:
        # On a CPU a second thread would take the cores from the network: a step then takes twice
        # as long (Testing/Benchmarks/training.py).
        ahead = 0 if trainer.device.type == "cpu" else 2
    return Prefetcher(trainer.draw, trainer.step, ahead, trainer.device)


def _reports(trainer: Trainer) -> training_log.StepReports:
    run = trainer.run if trainer.processes.first else None
    return training_log.StepReports(run, trainer.settings.fit.report_every)


def _draw_curves(trainer: Trainer) -> None:
    if trainer.processes.first:
        training_log.draw_curves(trainer.run)


def _validate(trainer: Trainer, validate: Validate | None) -> None:
    """Score the averaged weights in the first process, and keep the best."""
    if validate is None:
        return
    if trainer.processes.first:
        scores = validate(trainer.averaged)
        trainer.log({"step": trainer.step, "validation": scores})
        mean = sum(scores.values()) / max(1, len(scores))
        if scores and mean > trainer.best:
            trainer.best = mean
            state = {"averaged": trainer.averaged, "step": trainer.step, "scores": scores}
            write_checkpoint(trainer.run / BEST, state)
    trainer.processes.wait()


def _same(one: TrainingSettings, other: TrainingSettings) -> bool:
    # As JSON, where a tuple and a list in a part's arguments are the same.
    return settings_to_json(one) == settings_to_json(other)


def fit_run(
    run: Path,
    packed: Path,
    settings: TrainingSettings,
    minutes: float | None = None,
    device: str = "auto",
    validate: Validate | None = None,
) -> FitResult:
    """Train a network on packed cases, or go on with it.

    Parameters
    ----------
    run
        Folder of the run; made when missing.
    packed
        Folder of packed cases.
    minutes
        Of training in this call, reading the cases not counted; None for the whole schedule.
    device
        "auto", "cpu" or "cuda".
    validate
        Called with the averaged weights, in the first process only.

    Raises
    ------
    InputError
        If settings or data cannot be used, or the run was begun with other settings.
    """
    settings = completed(settings)
    if (run / "run.json").exists() and not _same(settings_of_run(run), settings):
        raise InputError(
            f"The run in '{run}' was begun with other settings. Choose another folder, or give "
            "the settings in its run.json to go on."
        )
    with joined(device) as processes:
        cases = load_cases(packed)
        spacing = read_index(packed)[1]
        sampler = CropSampler.of(cases, spacing, settings, processes.device)
        trainer = Trainer(run, sampler, settings, processes)
        if processes.first:
            made_folder(run)
        if trainer.resume():
            trainer.log({"step": trainer.step, "event": "resumed"})
        else:
            if settings.initial:
                # Every process reads the same file; a resumed run does not need it any more.
                trainer.start_with(initial_weights(settings, trainer.averaged, spacing))
            if processes.first:
                write_settings(run, settings)
        before = trainer.seconds
        if not trainer.finished:
            fit(trainer, minutes, validate)
    seconds = trainer.seconds - before
    return FitResult(trainer.step, trainer.finished, trainer.stopped, seconds)
