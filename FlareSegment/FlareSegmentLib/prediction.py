"""A network of a bundle placed on a device: blended logits of a whole image."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .bundle import NetworkEntry
from .errors import DeviceError
from .fixed_norm import fixed_norms
from .layer_watch import LayerWatch
from .network import SubvoxelUNet
from .progress import Monitor
from .resampling import grid_size
from .windows import (
    FEWEST_VOXELS,
    Size,
    WindowPlan,
    evened_window,
    plan_windows,
    round_up,
    row_probes,
)

logger = logging.getLogger(__name__)

LARGEST_WINDOW = (176, 224, 288)
"""Voxels of a window of a network that takes any size: most abdomens at 2 x 1.5 x 1.5 mm fit. One
layer of a pass over more would take so long that a user who cancels waits."""

NO_NUMBERS = (
    "The network gave a value that is not a number, in float32 too: the model or the memory of "
    "this computer is damaged. Install the model again, or choose another device."
)


@dataclass
class WindowCount:
    """Windows computed and skipped so far, and those computed again in float32."""

    computed: int = 0
    skipped: int = 0
    repeated: int = 0


class Predictor:
    """One network, ready to run.

    Parameters
    ----------
    network
        In float32; moved to `device` and `precision`.
    entry
        What the bundle says of it.
    sigmoid
        Whether the network has one channel per target and none for background.

    Attributes
    ----------
    count
        Windows of the latest prediction.
    any_size
        Whether windows may be of another size than in training, see `fixed_norm`.
    """

    def __init__(
        self,
        network: nn.Module,
        entry: NetworkEntry,
        sigmoid: bool,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        # With statistics of its own, a window's result depends on how large it is.
        norms = fixed_norms(network)
        self.any_size = bool(norms) and all(bool(norm.measured) for norm in norms)
        if isinstance(network, SubvoxelUNet):
            network.fold_norms()
        network = network.to(device, precision)
        if device.type == "cpu":
            # Convolution and group norm have their fast bfloat16 kernels in this layout.
            for parameter in network.parameters():
                if parameter.dim() == 5:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.network = network.eval()
        self._watch = LayerWatch(self.network)
        self.count = WindowCount()
        self._exact: nn.Module | None = None
        self.entry = entry
        self.sigmoid = sigmoid
        self.device = device
        self.precision = precision

    @property
    def multiple(self) -> Size:
        """What the size of the network's input must be divisible by, (k, j, i) voxels."""
        k, j, i = getattr(self.network, "size_multiple", (1, 1, 1))
        return (int(k), int(j), int(i))

    @property
    def patch(self) -> tuple[int, ...]:
        """Largest window (k, j, i) voxels, unless memory is short."""
        if not self.any_size:
            return self.entry.patch
        return tuple(max(n, m) for n, m in zip(self.entry.patch, LARGEST_WINDOW, strict=True))

    def plan(self, size: Sequence[int], patch: Sequence[int], step: float) -> WindowPlan:
        """Windows over an image of `size` voxels (k, j, i), which is padded to `multiple`."""
        padded = round_up(size, self.multiple)
        if self.any_size:
            patch = evened_window(padded, patch, self.multiple, step)
        return plan_windows(padded, patch, self.multiple, step)

    def working_size(self, shape: Sequence[int], spacing: Sequence[float]) -> Size:
        """Voxels (k, j, i) of the network's grid over a box of `shape` voxels of `spacing` mm."""
        if self.entry.fixed_size:
            k, j, i = self.entry.fixed_size
            return (k, j, i)
        return grid_size(shape, spacing, self.entry.spacing)

    def warm_up(self) -> None:
        """Run once on a small input: the first call prepares kernels."""
        k, j, i = self.multiple
        self.forward(torch.zeros(2 * k, 2 * j, 2 * i))

    def forward(self, image: Tensor, tell: Callable[[float], None] | None = None) -> Tensor:
        """Float32 logits (channels, k, j, i) of one normalised window (k, j, i).

        Parameters
        ----------
        tell
            Called between layers with the share of the pass done; may raise to end it.

        Raises
        ------
        DeviceError
            If they are no numbers, in float32 either.
        """
        with self._watch.watching(image.numel(), tell):
            logits = self._logits(self.network, self.precision, image)
        if not _finite(logits) and self.precision != torch.float32:
            # Lower precisions overflow, and some processors' kernels for them are faulty.
            logger.warning("a window gave no numbers in %s, computed again", self.precision)
            if self._exact is None:
                self._exact = copy.deepcopy(self.network).float()
            logits = self._logits(self._exact, torch.float32, image)
            self.count.repeated += 1
        if not _finite(logits):
            raise DeviceError(NO_NUMBERS)
        if self.sigmoid:
            # Probability one half is logit zero: background wins where no channel exceeds it.
            logits = torch.cat([torch.zeros_like(logits[:1]), logits])
        return logits

    def _logits(self, network: nn.Module, precision: torch.dtype, image: Tensor) -> Tensor:
        x = image[None, None].to(self.device, precision)
        if self.device.type == "cpu" and isinstance(network, SubvoxelUNet):
            return network.logits_on_cpu(x)
        logits: Tensor = network(x)[0].float()
        return logits

    def predict(
        self,
        image: Tensor,
        patch: Sequence[int],
        step: float,
        foreground: np.ndarray | None,
        monitor: Monitor,
        count: WindowCount,
        window_filter: bool = False,
    ) -> Tensor:
        """Blended logits on the image's grid.

        Parameters
        ----------
        image
            (k, j, i) HU on the network's grid.
        patch
            Largest window, voxels.
        step
            Distance of neighbouring windows as a share of the window.
        foreground
            (k, j, i) bool; windows without any are taken for background. None: all are computed.
        window_filter
            Take rows of windows whose middle holds no organ for background (P3).

        Returns
        -------
        (channels, k, j, i) float32, background first; on the device when one window was enough,
        on the CPU otherwise.
        """
        self.count = count
        size = image.shape
        padded = round_up(size, self.multiple)
        image = self.entry.intensity.normalise(image)
        if padded != tuple(size):
            # As in training: the border slices are repeated, no air is invented.
            pad = [n - m for n, m in zip(padded, size, strict=True)]
            image = functional.pad(
                image[None, None], (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate"
            )[0, 0]
        plan = self.plan(size, patch, step)
        if len(plan.boxes) == 1:
            logits = self.forward(image, partial(_tell, monitor, 0, 1))
            count.computed += 1
            return logits[:, : size[0], : size[1], : size[2]]
        k, j, i = (torch.from_numpy(plan.axis_weights(axis)) for axis in range(3))
        weight = k[:, None, None] * j[:, None] * i
        total: Tensor | None = None
        mass = torch.zeros(padded)
        rows = _Rows(plan, window_filter)
        for done, number in enumerate(rows.order):
            box = plan.boxes[number]
            _tell(monitor, done, len(plan.boxes), 0.0)
            outside = foreground is not None and not foreground[box].any()
            if outside or rows.is_empty(number):
                count.skipped += 1
                continue
            tell = partial(_tell, monitor, done, len(plan.boxes))
            logits = self.forward(image[box], tell).cpu()
            count.computed += 1
            rows.saw(number, logits)
            if total is None:
                total = torch.zeros((logits.shape[0], *padded))
            total[(slice(None), *box)].addcmul_(logits, weight)
            mass[box] += weight
        if total is None:
            raise ValueError("every window was skipped")
        empty = mass == 0
        total /= torch.where(empty, 1.0, mass)
        # Where every window was skipped the localiser saw background only.
        total[0][empty] = 1.0
        return total[:, : size[0], : size[1], : size[2]]


def _tell(monitor: Monitor, done: int, count: int, share: float) -> None:
    """Tell that `done` of `count` windows and `share` of the next are computed."""
    monitor.step("network", 0.95 * (done + share) / count)


def _finite(logits: Tensor) -> bool:
    """Whether all are numbers; their sum tells, in one pass over memory."""
    return bool(torch.isfinite(logits.sum()))


class _Rows:
    """P3's window filter: what the first windows of each row held."""

    def __init__(self, plan: WindowPlan, enabled: bool) -> None:
        self.order = list(range(len(plan.boxes)))
        self._row = [0] * len(plan.boxes)
        self._probes: frozenset[int] = frozenset()
        self._voxels: list[int] = []
        self._unseen: list[int] = []
        probes = row_probes(plan) if enabled else ()
        if not probes:
            return
        rows = plan.rows()
        self._voxels = [0] * len(rows)
        self._unseen = [len(probes)] * len(rows)
        for place, row in enumerate(rows):
            for number in row:
                self._row[number] = place
        self._probes = frozenset(row[probe] for row in rows for probe in probes)
        self.order.sort(key=lambda n: (self._row[n], n not in self._probes, n))

    def is_empty(self, number: int) -> bool:
        """Whether the probed windows of this window's row held next to nothing.

        A probe left out for another reason, because nothing is wanted there, proves nothing.
        """
        if not self._probes or number in self._probes:
            return False
        row = self._row[number]
        return not self._unseen[row] and self._voxels[row] < FEWEST_VOXELS

    def saw(self, number: int, logits: Tensor) -> None:
        """Take note of a window's logits."""
        if number in self._probes:
            self._unseen[self._row[number]] -= 1
            self._voxels[self._row[number]] += int((logits.argmax(0) > 0).sum())
