"""What is done when memory runs out: smaller windows, then the CPU, then a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch

from .devices import is_out_of_memory
from .errors import DeviceError

if TYPE_CHECKING:
    from .segmentation_run import SegmentationRun

logger = logging.getLogger(__name__)

SMALLEST_WINDOW = 16
"""Voxels along an axis."""

TOO_LITTLE = (
    "There is not enough memory for this scan, even with small windows. Close other programs, or "
    "crop the volume to the abdomen."
)

T = TypeVar("T")


def with_less_memory(run: SegmentationRun, compute: Callable[[], T]) -> T:
    """Compute; each time memory runs out, again with less of it.

    Parameters
    ----------
    run
        Whose settings give the windows, and who moves to the CPU. The settings are as before
        afterwards.
    compute
        What uses them.

    Raises
    ------
    DeviceError
        If there is not enough memory for the least of them.
    """
    original = run.settings
    steps = [_smaller_windows, _smaller_windows]
    if run.segmenter.device.type == "cuda":
        steps = [_smaller_windows, _cpu, _smaller_windows]
    try:
        for use_less in steps:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of `except`: the traceback would keep the failed attempt's arrays alive.
            use_less(run)
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(TOO_LITTLE) from error
    finally:
        run.settings = original


def _smaller_windows(run: SegmentationRun) -> None:
    if run.segmenter.device.type == "cuda":
        torch.cuda.empty_cache()
    patch = run.settings.patch or run.segmenter.predictor.patch
    smaller = tuple(max(SMALLEST_WINDOW, n // 2) for n in patch)
    run.settings = replace(run.settings, patch=smaller)
    run.notes.append("Memory was short; smaller windows were used.")
    logger.warning("out of memory, now with windows of %s voxels", smaller)


def _cpu(run: SegmentationRun) -> None:
    run.notes.append(run.segmenter.move_to_cpu())
