"""One training loop: a time budget, exact resume, an average of the weights, a readable log.

A run is a folder: `run.json` (settings), `checkpoint.pt` (everything needed to go on, replaced
by rename), `best.pt` (the weights that validated best), `log.jsonl` (one line per report) and
`curves.png`. Under `torchrun` every process takes its part of each batch.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from FlareSegmentLib.devices import choose_precision
from FlareSegmentLib.errors import FlareError, InputError, OutputError
from FlareSegmentLib.network import build_network

from . import training_log
from .losses import Annotation, build_loss
from .losses.deep_supervision import deeply_supervised
from .optimizers import build_optimizer, rate_factor
from .packing import read_index
from .prefetch import Prefetcher
from .processes import Processes, joined
from .sampling import Batch, CropSampler, load_cases
from .text_embeddings import SHIPPED, load_text_embeddings
from .training_settings import (
    TEXT_NETWORK,
    TUMOR,
    TrainingSettings,
    completed,
    settings_of_run,
    write_settings,
)

logger = logging.getLogger(__name__)

Weights = Mapping[str, Tensor]
Validate = Callable[[Weights], dict[str, float]]
"""Gives the DSC per target key of averaged weights."""

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"

RECOVERIES = 8
"""Returns to the last good checkpoint, each with half the rate, before the run gives up."""


class Diverged(Exception):
    """The loss, a gradient or a weight is not a finite number."""


class Trainer:
    """State of one run.

    Parameters
    ----------
    run
        Folder of the run.
    sampler
        Where batches come from.
    settings
        From `completed`.
    processes
        Those that train together.

    Raises
    ------
    InputError
        If the settings do not fit together.
    """

    def __init__(
        self,
        run: Path,
        sampler: CropSampler,
        settings: TrainingSettings,
        processes: Processes = Processes(),
    ) -> None:
        self.run = run
        self.sampler = sampler
        self.settings = settings
        self.processes = processes
        self.device = processes.device
        fit = settings.fit
        torch.manual_seed(fit.seed)
        self.network = build_network(settings.network.name, settings.network.arguments)
        _check_sizes(settings, self.network)
        if settings.network.name == TEXT_NETWORK:
            words = load_text_embeddings(settings.text_embeddings or SHIPPED, settings.targets)
            self.network.head.set_embeddings(torch.from_numpy(words))  # type: ignore[union-attr, operator]
        self.network.to(self.device)
        self.model: nn.Module = self.network
        if processes.count > 1:
            if fit.batch % processes.count:
                raise InputError(
                    f"A batch of {fit.batch} cannot be shared by {processes.count} processes. "
                    "Choose a batch that is a multiple of their number."
                )
            self.model = DistributedDataParallel(self.network, broadcast_buffers=False)
        self.averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = build_optimizer(
            settings.optimizer, self.network.parameters(), fit.learning_rate
        )
        self.loss = build_loss(settings.loss.name, settings.loss.arguments)
        self.precision = choose_precision(fit.precision, self.device)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision == torch.float16
        )
        self.step = 0
        self.seconds = 0.0
        self.attempt = 0
        self.best = -math.inf
        self.stopped = False

    @property
    def finished(self) -> bool:
        """Whether the schedule has ended."""
        return self.step >= self.settings.fit.steps

    def learning_rate(self) -> float:
        """Rate at this step; half of the schedule's for every recovery."""
        fit = self.settings.fit
        factor = rate_factor(self.settings.schedule, self.step, fit.steps)
        return fit.learning_rate * factor * 0.5**self.attempt

    # One step

    def draw(self, step: int) -> Batch:
        """This process's part of the batch of a step, drawn where the cases are."""
        fit, processes = self.settings.fit, self.processes
        mine = range(processes.rank, fit.batch, processes.count)
        batch = self.sampler.batch((fit.seed, self.attempt), step, mine)
        low, high, mean, scale = fit.intensity
        image = (batch.image.clamp(low, high) - mean) / scale
        return Batch(
            image[:, None].to(self.device),
            batch.labels.to(self.device),
            batch.known.to(self.device),
        )

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One optimiser step; terms of the loss.

        Raises
        ------
        Diverged
            If loss or gradient are not finite; the weights are then as before.
        """
        self.model.train()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        mixed = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=mixed):
            outputs = self.model(batch.image)
        tumor = self.settings.targets.index(TUMOR) + 1 if TUMOR in self.settings.targets else None
        terms = deeply_supervised(
            self.loss,
            outputs,
            batch.labels,
            Annotation(batch.known, tumor),
            self.settings.fit.coarsest,
        )
        loss = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise Diverged
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.fit.clip)
        # In float16 too large a scale is found out this way, and lowered by the scaler.
        if not self.scaler.is_enabled() and not bool(torch.isfinite(norm)):
            raise Diverged
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._update_average()
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def _update_average(self) -> None:
        decay = min(self.settings.fit.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.averaged[key].lerp_(value, 1 - decay)
                else:
                    self.averaged[key].copy_(value)

    # Checkpoints

    def save(self) -> None:
        """Write the checkpoint by rename.

        Raises
        ------
        Diverged
            If a weight is not finite; the last checkpoint stays.
        OutputError
            If it cannot be written; the last checkpoint stays.
        """
        if not all(bool(torch.isfinite(p).all()) for p in self.network.parameters()):
            raise Diverged
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds,
            "attempt": self.attempt,
            "best": self.best,
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        if self.processes.first:
            self._write(state, CHECKPOINT)

    def _write(self, state: dict[str, Any], name: str) -> None:
        temporary = self.run / f".{name}.part"
        try:
            torch.save(state, temporary)
            temporary.replace(self.run / name)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
            raise OutputError(
                f"The checkpoint '{self.run / name}' cannot be written ({reason}). The one "
                "before is untouched: make room, then start the same command again."
            ) from error

    def resume(self) -> bool:
        """Go on from the run's checkpoint; false when there is none.

        Raises
        ------
        InputError
            If the checkpoint is of another network or damaged.
        """
        path = self.run / CHECKPOINT
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.averaged = {k: v.to(self.device) for k, v in state["averaged"].items()}
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError, EOFError) as error:
            raise InputError(
                f"'{path}' is not a checkpoint of this run: {str(error).splitlines()[0]} Choose "
                "another run folder."
            ) from error
        self.scaler.load_state_dict(state.get("scaler", {}))
        torch.set_rng_state(state["torch_rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.attempt = state.get("attempt", 0)
        self.best = state.get("best", -math.inf)
        return True

    def _recover(self) -> None:
        """Back to the last good checkpoint with half the rate and other crops."""
        failed_at, attempt = self.step, self.attempt + 1
        if attempt > RECOVERIES:
            raise FlareError(
                f"The training diverges: the loss was not a finite number {attempt} times, the "
                f"last time at step {failed_at}, although the learning rate was halved each "
                "time. Lower the learning rate, or look for damaged scans with check."
            )
        self.resume()
        self.attempt = attempt
        entry = {
            "step": self.step,
            "event": "recovered",
            "failed_at": failed_at,
            "learning_rate": self.learning_rate(),
            "note": "The loss was not a finite number: back to the last good checkpoint with "
            "half the learning rate.",
        }
        self._log(entry)
        self.save()

    # The loop

    def fit(self, minutes: float | None = None, validate: Validate | None = None) -> None:
        """Train until the schedule or the time budget ends, or SIGTERM or SIGINT comes.

        Raises
        ------
        FlareError
            If the training diverges again and again, or its state cannot be written.
        """
        fit, start = self.settings.fit, time.monotonic()
        before = self.seconds
        if self.processes.first:
            self.run.mkdir(parents=True, exist_ok=True)
        self.save()
        batches = self._batches()
        reports = _Reports(self)
        last_save = start
        try:
            with _signals(self._stop):
                while not self.finished:
                    try:
                        reports.add(self.train_step(batches.next()))
                        self.seconds = before + time.monotonic() - start
                        if fit.validate_every and self.step % fit.validate_every == 0:
                            self._validate(validate)
                        if time.monotonic() - last_save > fit.save_every and self.processes.first:
                            self.save()
                            last_save = time.monotonic()
                            training_log.draw_curves(self.run)
                    except Diverged:
                        batches.close()
                        self.processes.wait()
                        self._recover()
                        batches, reports = self._batches(), _Reports(self)
                        continue
                    late = minutes is not None and time.monotonic() - start > minutes * 60
                    if self.processes.any(self.stopped or late):
                        break
        finally:
            batches.close()
        self._finish(validate)

    def _finish(self, validate: Validate | None) -> None:
        if self.finished:
            every = self.settings.fit.validate_every
            if not every or self.step % every:
                self._validate(validate)
        try:
            self.save()
        except Diverged:
            # Found out at the very end: the last good checkpoint is what there is.
            self._recover()
        if self.processes.first:
            training_log.draw_curves(self.run)
        self.processes.wait()

    def _batches(self) -> Prefetcher:
        return Prefetcher(self.draw, self.step, self.settings.fit.prefetch, self.device)

    def _validate(self, validate: Validate | None) -> None:
        if validate is None:
            return
        if self.processes.first:
            scores = validate(self.averaged)
            self._log({"step": self.step, "validation": scores})
            mean = sum(scores.values()) / max(1, len(scores))
            if scores and mean > self.best:
                self.best = mean
                state = {"averaged": self.averaged, "step": self.step, "scores": scores}
                self._write(state, BEST)
        self.processes.wait()

    def _stop(self) -> None:
        self.stopped = True

    def _log(self, entry: dict[str, Any]) -> None:
        if self.processes.first:
            training_log.append(self.run, entry)


class _Reports:
    """Means over some steps, written as one line of the log."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._begin()

    def _begin(self) -> None:
        self.start = time.monotonic()
        self.count = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, term in terms.items():
            # Kept on the device: reading a number waits for the GPU.
            self.sums[name] = self.sums[name] + term if name in self.sums else term
        self.count += 1
        trainer = self.trainer
        if trainer.step % trainer.settings.fit.report_every:
            return
        means = {name: round(float(s) / self.count, 4) for name, s in self.sums.items()}
        trainer._log(
            {
                "step": trainer.step,
                "seconds_per_step": round((time.monotonic() - self.start) / self.count, 4),
                "learning_rate": round(trainer.learning_rate(), 9),
                "loss": round(sum(means.values()), 4),
                **means,
            }
        )
        self._begin()


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _check_sizes(settings: TrainingSettings, network: nn.Module) -> None:
    multiple: tuple[int, ...] = getattr(network, "size_multiple", (1, 1, 1))
    for patch in settings.sampling.patches:
        if any(n % m for n, m in zip(patch, multiple, strict=True)):
            raise InputError(
                f"The patch {patch} does not fit the network '{settings.network.name}': its "
                f"sizes must be multiples of {tuple(multiple)}."
            )


def fit_run(
    run: Path,
    packed: Path,
    settings: TrainingSettings,
    minutes: float | None = None,
    device: str = "auto",
    validate: Validate | None = None,
) -> dict[str, Any]:
    """Train a network on packed cases, or go on with it.

    Parameters
    ----------
    run
        Folder of the run; made when missing.
    packed
        Folder of packed cases.
    minutes
        Time budget of this call; None for the whole schedule.
    device
        "auto", "cpu" or "cuda".
    validate
        Called with the averaged weights, in the first process only.

    Returns
    -------
    "step", "finished" (the schedule has ended) and "stopped" (a signal came).

    Raises
    ------
    InputError
        If settings or data cannot be used, or the run was begun with other settings.
    """
    settings = completed(settings)
    if (run / "run.json").exists() and settings_of_run(run) != settings:
        raise InputError(
            f"The run in '{run}' was begun with other settings. Choose another folder, or give "
            "the settings in its run.json to go on."
        )
    with joined(device) as processes:
        cases = load_cases(packed, processes.device)
        sampler = CropSampler.of(cases, read_index(packed)[1], settings)
        trainer = Trainer(run, sampler, settings, processes)
        if trainer.resume():
            trainer._log({"step": trainer.step, "event": "resumed"})
        elif processes.first:
            write_settings(run, settings)
        if not trainer.finished:
            trainer.fit(minutes, validate)
    return {"step": trainer.step, "finished": trainer.finished, "stopped": trainer.stopped}
