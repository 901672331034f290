"""One training loop: a time budget, exact resume, an average of the weights, a readable log.

A run is a folder: `run.json` (settings), `checkpoint.pt` (everything needed to go on, replaced
by rename), `log.jsonl` (one line per report) and `bundle/` (the model so far).
"""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from FlareSegmentLib.network import UNetSettings, build_network, network_arguments

from .losses import marginal_cross_entropy_and_dice
from .sampling import CropSampler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitSettings:
    """Optimisation settings.

    Attributes
    ----------
    steps
        Length of the learning-rate schedule in steps.
    learning_rate, weight_decay
        AdamW's.
    warm_up
        Steps of linear increase at the start.
    average
        Decay of the running average of the weights.
    clip
        Largest gradient norm.
    intensity
        Lowest HU, highest HU, mean and scale: x -> (clip(x) - mean) / scale.
    seed
        Seed of weights and crops.
    """

    steps: int = 4000
    learning_rate: float = 1.2e-3
    weight_decay: float = 1e-2
    warm_up: int = 100
    average: float = 0.995
    clip: float = 3.0
    intensity: tuple[float, float, float, float] = (-500.0, 500.0, 40.0, 140.0)
    seed: int = 1
    channels: int = 15
    widths: tuple[int, ...] = (32, 64, 128, 256)
    stem_stride: tuple[int, int, int] = (2, 2, 2)

    def network(self) -> UNetSettings:
        """Settings of the network to train."""
        return UNetSettings(self.channels, self.widths, self.stem_stride)


class Trainer:
    """State of one run."""

    def __init__(
        self,
        run: Path,
        sampler: CropSampler,
        settings: FitSettings,
        device: str = "cpu",
    ) -> None:
        self.run = run
        self.sampler = sampler
        self.settings = settings
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.network = build_network("SubvoxelUNet", network_arguments(settings.network()))
        self.network.to(self.device)
        self.averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.rng = np.random.default_rng(settings.seed)
        self.step = 0
        self.seconds = 0.0
        self._stop = False

    def learning_rate(self) -> float:
        """Linear warm-up, then cosine to a hundredth."""
        s = self.settings
        if self.step < s.warm_up:
            return s.learning_rate * (self.step + 1) / s.warm_up
        part = min(1.0, (self.step - s.warm_up) / max(1, s.steps - s.warm_up))
        return s.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))

    def normalise(self, image: Tensor) -> Tensor:
        """HU to network input."""
        low, high, mean, scale = self.settings.intensity
        return (image.clamp(low, high) - mean) / scale

    def train_step(self) -> dict[str, float]:
        """One optimiser step; losses of it."""
        sample = self.sampler.draw(self.rng)
        image = self.normalise(sample.image).to(self.device)[None, None]
        labels = sample.labels.to(self.device)[None]
        unknown = torch.tensor([sample.tumor_unknown], device=self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.network(image)
        cross_entropy, dice = marginal_cross_entropy_and_dice(logits, labels, unknown)
        loss = cross_entropy + dice
        self.optimizer.zero_grad(set_to_none=True)
        if bool(torch.isfinite(loss)):
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
            self.optimizer.step()
            self._update_average()
        else:
            logger.warning("step %d skipped: the loss was not finite", self.step)
        self.step += 1
        return {"cross_entropy": float(cross_entropy.detach()), "dice": float(dice.detach())}

    def _update_average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.averaged[key].lerp_(value, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint by rename."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.run / ".checkpoint.part"
        torch.save(state, temporary)
        temporary.replace(self.run / "checkpoint.pt")

    def resume(self) -> bool:
        """Go on from the run's checkpoint; false when there is none."""
        path = self.run / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged = state["averaged"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def fit(self, minutes: float, report_every: int = 20, save_every: float = 120.0) -> None:
        """Train until the schedule or the time budget ends, or SIGTERM or SIGINT comes."""
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        start = time.monotonic()
        last_report, last_save = start, start
        sums: dict[str, float] = {}
        count = 0
        try:
            while self.step < self.settings.steps and not self._stop:
                for key, value in self.train_step().items():
                    sums[key] = sums.get(key, 0.0) + value
                count += 1
                now = time.monotonic()
                if self.step % report_every == 0:
                    means: dict[str, Any] = {k: round(v / count, 4) for k, v in sums.items()}
                    self._log(
                        {
                            "step": self.step,
                            "seconds_per_step": round((now - last_report) / count, 3),
                            "learning_rate": round(self.learning_rate(), 7),
                            **means,
                        }
                    )
                    last_report, sums, count = now, {}, 0
                if now - last_save > save_every:
                    self.save()
                    last_save = now
                if now - start > minutes * 60:
                    break
        finally:
            self.seconds += time.monotonic() - start
            self.save()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self._stop = True

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.run / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        logger.info("%s", entry)


def write_settings(run: Path, settings: FitSettings) -> None:
    """Keep the run's settings next to its results."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
