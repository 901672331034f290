"""The state of a training: network, optimizer, averages; one step of it; its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from FlareSegmentLib.devices import choose_precision
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.fixed_norm import FIXED_STATISTICS, fixed_norms, measuring
from FlareSegmentLib.network import SubvoxelUNet, build_network

from . import training_log
from .batch_terms import autocast, batch_terms
from .checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from .losses import build_loss, loss_at
from .optimizers import build_optimizer, rate_factor
from .processes import Processes
from .sampling import Batch, CropSampler
from .text_embeddings import SHIPPED, load_text_embeddings
from .thin_convolutions import avoid_faulty_depth
from .torch_version import check_torch
from .training_settings import TEXT_NETWORK, TrainingSettings

RECOVERIES = 8
"""Returns to the last good checkpoint, each with half the rate, before the run gives up."""


MEASURED_CROPS = 120
"""Crops whose statistics "fixed" norms keep."""

MEASURING = 7
"""Tells the crops that are measured from those of the training."""


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
        check_torch()
        self.run = run
        self.sampler = sampler
        self.settings = settings
        self.processes = processes
        self.device = processes.device
        fit = settings.fit
        torch.manual_seed(fit.seed)
        self.network = _network(settings, self.device)
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

    def start_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights instead of random ones; `initial_weights` has checked them."""
        self.network.load_state_dict(weights)
        self.averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

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
        return Batch(
            self._shown(batch.image),
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
        self._fix_norms_when_due()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss_now = loss_at(self.loss, self.step / max(1, self.settings.fit.steps - 1))
        terms = batch_terms(self.model, loss_now, batch, self.settings, self.precision)
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

    def _fix_norms_when_due(self) -> None:
        """Measure what "fixed" norms keep from here on; nothing where it was done before."""
        fit = self.settings.fit
        norms = fixed_norms(self.network)
        if not norms or bool(norms[0].measured) or self.step < fit.norms_fixed_from * fit.steps:
            return
        # Every process measures the same crops, so that all keep the same.
        key = (fit.seed, self.attempt, MEASURING)
        computing = autocast(self.device.type, self.precision)
        with torch.no_grad(), computing, measuring(self.network):
            for crop in range(MEASURED_CROPS):
                image = self._shown(self.sampler.batch(key, crop, [0]).image)
                if self.device.type == "cpu":
                    image = image.contiguous(memory_format=torch.channels_last_3d)
                self.network(image)
        for name, value in self.network.state_dict().items():
            if name.endswith(FIXED_STATISTICS):
                self.averaged[name].copy_(value)
        self.log({"step": self.step, "event": "norms fixed", "crops": MEASURED_CROPS})

    def _shown(self, image: Tensor) -> Tensor:
        """(batch, k, j, i) HU as the network wants it, (batch, 1, k, j, i)."""
        low, high, mean, scale = self.settings.fit.intensity
        return image.clamp(low, high).sub_(mean).div_(scale)[:, None].to(self.device)

    def _update_average(self) -> None:
        decay = min(self.settings.fit.average, (1 + self.step) / (10 + self.step))
        moving: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                if value.is_floating_point():
                    moving.append((self.averaged[key], value))
                else:
                    self.averaged[key].copy_(value)
            # All at once: on a GPU a hundred small kernels would take longer than they compute.
            averages, values = map(list, zip(*moving, strict=True))
            torch._foreach_lerp_(averages, values, 1 - decay)

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
            "precision": str(self.precision),
            "device": self.device.type,
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        if self.processes.first:
            write_checkpoint(self.run / CHECKPOINT, state)

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
        state = read_checkpoint(path)
        try:
            self.network.load_state_dict(state["network"])
            self.averaged = {k: v.to(self.device) for k, v in state["averaged"].items()}
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"'{path}' is not a checkpoint of this run: {str(error).splitlines()[0]} Choose "
                "another run folder."
            ) from error
        if state.get("device") == self.device.type:
            # "auto" measures, and may measure otherwise today: a run keeps what it began with.
            self.precision = getattr(torch, str(state["precision"]).removeprefix("torch."))
        self.scaler.load_state_dict(state.get("scaler", {}))
        torch.set_rng_state(state["torch_rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.attempt = state.get("attempt", 0)
        self.best = state.get("best", -math.inf)
        return True

    def recover(self) -> None:
        """Go back to the last good checkpoint, with half the rate and other crops.

        Raises
        ------
        FlareError
            If that has not helped before.
        """
        failed_at, attempt = self.step, self.attempt + 1
        self.processes.wait()
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
        self.log(entry)
        self.save()

    def stop(self) -> None:
        """Ask the loop to save and leave after this step."""
        self.stopped = True

    def log(self, entry: dict[str, Any]) -> None:
        """Write a line of the log, in the first process."""
        if self.processes.first:
            training_log.append(self.run, entry)


def _network(settings: TrainingSettings, device: torch.device) -> nn.Module:
    """Give the network with random weights, where it computes."""
    network = build_network(settings.network.name, settings.network.arguments)
    _check_sizes(settings, network)
    if settings.network.name == TEXT_NETWORK:
        words = load_text_embeddings(settings.text_embeddings or SHIPPED, settings.targets)
        network.head.set_embeddings(torch.from_numpy(words))  # type: ignore[union-attr, operator]
    network.to(device)
    avoid_faulty_depth(network)
    if device.type == "cpu" and isinstance(network, SubvoxelUNet):
        # The layout of PyTorch's fast bfloat16 convolutions.
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def _check_sizes(settings: TrainingSettings, network: nn.Module) -> None:
    multiple: tuple[int, ...] = getattr(network, "size_multiple", (1, 1, 1))
    for patch in settings.sampling.patches:
        if any(n % m for n, m in zip(patch, multiple, strict=True)):
            raise InputError(
                f"The patch {patch} does not fit the network '{settings.network.name}': its "
                f"sizes must be multiples of {tuple(multiple)}."
            )
