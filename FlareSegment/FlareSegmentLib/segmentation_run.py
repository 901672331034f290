"""The stages of one segmentation: localise, crop, network, clean-up, upsampling, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from . import __version__
from .checking import check_ct
from .cleanup import TUMOR, coarse_labels
from .coarse_support import CoarseSupport
from .component_removal import remove_stray_components
from .fragments import absorb_fragments, lesion_boxes
from .geometry import canonical_volume
from .labels import target_by_id
from .localiser import agreement, organ_components, organs_on_grid, region_of_interest
from .prediction import WindowCount
from .progress import Monitor
from .region import canonical_box, clear_outside, common, part_of, relative_to, widened
from .resampling import resample_volume
from .short_memory import with_less_memory
from .upsampling import largest_channel, reduce_axes, upsample_argmax, upsample_labels
from .volume import LabelMap, Volume
from .windows import Box

if TYPE_CHECKING:
    from .segmenter import Segmenter

NO_ORGAN = (
    "No organ found: nothing in this scan looks like an abdomen. If it should, check that the "
    "volume is a CT in HU and that its orientation is right."
)

DOUBTFUL = (
    "The two networks agree less than usual on this scan: look at the result closely, left and "
    "right too. The scan may lie otherwise than its header says (mirrored, prone, on its side), be "
    "cut short, or be very noisy."
)

REPEATED = (
    "{} windows gave values that are no numbers in the fast precision of this device and were "
    "computed again in float32; the result is complete."
)


@dataclass(frozen=True)
class _Coarse:
    """What the localiser saw: channel numbers and the mask of believable organs, (k, j, i)."""

    labels: np.ndarray
    organs: np.ndarray


class SegmentationRun:
    """One call of `Segmenter.segment`: its settings, which memory may change, times and notes.

    Parameters
    ----------
    segmenter
        Its networks and device.
    monitor
        Told of every stage.
    """

    def __init__(self, segmenter: Segmenter, monitor: Monitor) -> None:
        self.segmenter = segmenter
        self.settings = segmenter.settings
        self.info = segmenter.bundle.info
        self.monitor = monitor
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = [segmenter.device_note] if segmenter.device_note else []
        self.count = WindowCount()
        self.agreement: float | None = None

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        self.monitor.step(stage, 0.0)
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        self.monitor.step(stage, 1.0)

    def segment(
        self, volume: Volume, wanted: tuple[str, ...], region: Box | None = None
    ) -> LabelMap:
        """Segment a volume; see `Segmenter.segment`."""
        start = time.perf_counter()
        volume = check_ct(volume)
        self.notes += volume.notes
        scan, order = canonical_volume(volume)
        with self._timed("localise"):
            found, coarse = with_less_memory(self, lambda: self._localise(scan))
        box, limits = found, None
        if region is not None and found is not None:
            limits = common(found, canonical_box(region, volume.array.shape, order))
            box = found if limits is not None else None
        result = np.zeros(volume.array.shape, np.uint8)
        if box is not None:
            labels = with_less_memory(self, lambda: self._segment_box(scan, box, coarse, limits))
            order.apply(result)[box] = self._to_ids(labels, wanted)
            if region is not None:
                clear_outside(result, region)
        if not result.any():
            # An empty result is never silent.
            nothing = self._nothing_of(wanted, found, region)
            self.notes.append(NO_ORGAN if self._networks_disagree() else nothing)
        elif self._agree_below(self.settings.localiser.doubtful_agreement):
            self.notes.append(DOUBTFUL)
        if self.count.repeated:
            self.notes.append(REPEATED.format(self.count.repeated))
        self.seconds["total"] = time.perf_counter() - start
        return LabelMap(result, volume.affine, wanted, self._report(volume, box, region))

    def _nothing_of(self, wanted: tuple[str, ...], found: Box | None, region: Box | None) -> str:
        """Say that nothing was found, where the localiser gave the box `found`."""
        if found is not None and region is not None:
            return (
                "None of the wanted structures was found in the box of interest; the abdomen of "
                "this scan was found."
            )
        if found is None or len(wanted) == len(self.info.targets):
            return NO_ORGAN
        return f"None of the wanted targets was found: {', '.join(wanted)}."

    def _networks_disagree(self) -> bool:
        return self._agree_below(self.settings.localiser.least_agreement)

    def _agree_below(self, limit: float) -> bool:
        return self.agreement is not None and self.agreement < limit

    def _report(self, volume: Volume, box: Box | None, region: Box | None) -> dict[str, Any]:
        report = {
            "model": self.segmenter.bundle.name,
            "model_sha256": self.segmenter.bundle.sha256,
            "engine_version": __version__,
            "torch_version": torch.__version__,
            "device": str(self.segmenter.device),
            "precision": str(self.segmenter.precision).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "seconds": {k: round(v, 4) for k, v in self.seconds.items()},
            "region_of_interest": _bounds(box),
            "localiser_agreement": None if self.agreement is None else round(self.agreement, 4),
            "windows": self.count.computed,
            "windows_skipped": self.count.skipped,
            "size": list(volume.array.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing],
            "notes": list(dict.fromkeys(self.notes)),
        }
        return report if region is None else report | {"region": _bounds(region)}

    def _to_ids(self, labels: np.ndarray, wanted: tuple[str, ...]) -> np.ndarray:
        """Label values of channel numbers; unwanted targets become background."""
        table = np.zeros(len(self.info.targets) + 1, np.uint8)
        for channel, label in enumerate(self.info.target_ids, start=1):
            if target_by_id(label).key in wanted:
                table[channel] = label
        if np.array_equal(table, np.arange(len(table))):
            return labels
        return np.take(table, labels, mode="clip")

    # Localising

    def _localise(self, scan: Volume) -> tuple[Box | None, _Coarse | None]:
        """Region of interest in scan voxels, and what the localiser saw in the whole scan."""
        settings, localiser = self.settings.localiser, self.segmenter.localiser
        if not settings.enabled or localiser is None:
            k, j, i = (slice(0, n) for n in scan.array.shape)
            return (k, j, i), None
        size = localiser.working_size(scan.array.shape, scan.spacing)
        coarse = resample_volume(scan.array, size)
        self.monitor.step("localise", 0.6)
        patch = localiser.entry.patch
        logits = localiser.predict(
            coarse, patch, self.settings.step, None, Monitor(None, self.monitor.cancel), self.count
        )
        spacing = _spacing(scan.array.shape, scan.spacing, size)
        keys, voxel_ml = self.info.targets, float(np.prod(spacing)) / 1000
        labels = coarse_labels(largest_channel(logits), voxel_ml, keys, self.settings.cleanup)
        organs = organ_components(labels, keys, voxel_ml, settings)
        if not organs.any():
            return None, None
        box = region_of_interest(organs, spacing, scan.array.shape, settings.margin_mm)
        return box, _Coarse(labels, organs)

    # Segmenting the region

    def _segment_box(
        self, scan: Volume, box: Box, coarse: _Coarse | None, limits: Box | None
    ) -> np.ndarray:
        """Channel numbers (k, j, i) uint8 on the scan's grid within `box`.

        Only those within `limits`, a part of `box`, are wanted unless it is None.
        """
        region = scan.array[box]
        k, j, i = region.shape
        with self._timed("resample"):
            size = self.segmenter.predictor.working_size(region.shape, scan.spacing)
            image = resample_volume(region, size)
        with self._timed("network"):
            foreground = self._foreground(scan, box, coarse, limits, size)
            if foreground is not None and not foreground.any():
                return np.zeros((k, j, i), np.uint8)
            logits = self._logits(image, foreground)
            del image
            if self.settings.upsampling == "logits":
                logits = reduce_axes(logits, (k, j, i))
            winner = self._clean_up(logits, scan, box, coarse)
            # Where windows were left out for the limits, there is nothing to compare; that the
            # scan shows an abdomen is known from the localiser all the same.
            if coarse is not None and (limits is None or not self.count.skipped):
                self.agreement = agreement(
                    coarse.labels, winner, box, scan.array.shape, self.info.targets
                )
                if self._networks_disagree():
                    return np.zeros((k, j, i), np.uint8)
        with self._timed("upsample"):
            if self.settings.upsampling == "labels":
                return upsample_labels(logits, (k, j, i))
            labels = upsample_argmax(logits, (k, j, i), self.monitor, winner)
            self._absorb_fragments(labels, winner, scan.spacing)
            return labels

    def _absorb_fragments(
        self, labels: np.ndarray, winner: np.ndarray, spacing: Sequence[float]
    ) -> None:
        """Take tumors below the least volume, as the clean-up has it, out of the result.

        `winner` are the channel numbers on the network's grid, `labels` those on the scan's.
        """
        cleanup, keys = self.settings.cleanup, self.info.targets
        if cleanup is None or TUMOR not in keys:
            return
        channel, least = keys.index(TUMOR) + 1, cleanup.least_ml.get(TUMOR, 0.0)
        boxes = lesion_boxes(winner, channel, labels.shape)
        if boxes:
            absorb_fragments(labels, channel, least, spacing, boxes)

    def _logits(self, image: Tensor, foreground: np.ndarray | None) -> Tensor:
        """Logits (channels, k, j, i) of `image`, (k, j, i) HU on the working grid."""
        predictor, settings = self.segmenter.predictor, self.settings
        logits = predictor.predict(
            image,
            self._patch,
            settings.step,
            foreground,
            self.monitor,
            self.count,
            settings.window_filter,
        )
        for key in settings.logit_offsets.keys() & set(self.info.targets):
            logits[1 + self.info.targets.index(key)] += settings.logit_offsets[key]
        return logits

    @property
    def _patch(self) -> tuple[int, ...]:
        return self.settings.patch or self.segmenter.predictor.patch

    def _takes_one_window(self, size: Sequence[int]) -> bool:
        plan = self.segmenter.predictor.plan(size, self._patch, self.settings.step)
        return len(plan.boxes) == 1

    def _clean_up(
        self, logits: Tensor, scan: Volume, box: Box, coarse: _Coarse | None
    ) -> np.ndarray:
        """Remove stray components from the logits of `box`, in place; the winners then."""
        shape, size, keys = scan.array.shape, logits.shape[1:], self.info.targets
        spacing = _spacing(scan.array[box].shape, scan.spacing, size)
        support = None
        if coarse is not None:
            support = CoarseSupport(coarse.labels, keys, box, shape, size, self.settings.localiser)
        return remove_stray_components(
            logits, float(np.prod(spacing)) / 1000, keys, self.settings.cleanup, support
        )

    def _foreground(
        self,
        scan: Volume,
        box: Box,
        coarse: _Coarse | None,
        limits: Box | None,
        size: Sequence[int],
    ) -> np.ndarray | None:
        """Where windows are needed on the working grid of `box`; None for everywhere, or for one.

        Limits leave windows out and change none of the others: a network that sees less than a
        window of the scan about an organ finds it less well.
        """
        shape = tuple(part.stop - part.start for part in box)
        spacing = _spacing(shape, scan.spacing, size)
        foreground = None
        if limits is None and self._takes_one_window(size):
            return None
        if coarse is not None:
            foreground = organs_on_grid(coarse.organs, box, scan.array.shape, size, spacing)
        if limits is None:
            return foreground
        wanted = np.zeros(size, bool)
        # A working voxel further, because neighbours are interpolated.
        reach = widened(relative_to(box, limits), scan.spacing, shape, max(spacing))
        part_of(wanted, reach, shape)[...] = True
        return wanted if foreground is None else foreground & wanted


def _spacing(
    shape: Sequence[int], spacing: Sequence[float], size: Sequence[int]
) -> tuple[float, ...]:
    """Spacing (mm) of a grid of `size` voxels over the box of `shape` voxels of `spacing`."""
    return tuple(n * s / m for n, s, m in zip(shape, spacing, size, strict=True))


def _bounds(box: Box | None) -> list[list[int]] | None:
    """First and behind-the-last voxel along (k, j, i), for the report."""
    return None if box is None else [[int(part.start), int(part.stop)] for part in box]
