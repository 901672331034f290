"""Whether a run fits into memory and onto the disk: an estimate before hours are spent."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from .dataset import DatasetCase
from .grid import PackSettings
from .recipe import NetworkStage, Recipe
from .teacher_settings import LARGEST
from .training_settings import completed

PACKED_BYTES = 3
"""Per voxel of the network's grid on the disk: int16 image and uint8 labels, not compressed."""

TAUGHT_BYTES = 5
"""The same with soft labels."""

LOADED_BYTES = 16
"""Per voxel of a scan while it is resampled: as stored, float32, and labels, each twice."""

FIXED_DISK = 2 * 1024**3
"""Checkpoints, bundles and label maps, generously."""

FIXED_MEMORY = 2 * 1024**3
"""The interpreter, PyTorch, and the weights with what the optimizer keeps."""

FIXED_GPU = 1024**3
"""The same on a GPU."""

STEP_BYTES = 700
"""Per voxel of a batch in half precision: 480 to 1550, as the networks of the recipes were measured
(the table of STUDY.md, from `Testing/Benchmarks/paper_sizes.py`)."""

GIB = 1024**3


@dataclass(frozen=True)
class Room:
    """What a run needs at least, and what there is; bytes."""

    memory: int
    disk: int
    memory_there: int
    disk_there: int
    gpu: int = 0
    gpu_there: int = 0

    @property
    def warning(self) -> str:
        """A sentence for each thing that will not fit, "" when nothing is known against it."""
        parts = []
        if self.memory > self.memory_there:
            parts.append(
                f"It needs about {self.memory / GIB:.0f} GB of memory, and this computer has "
                f"{self.memory_there / GIB:.0f} GB."
            )
        if self.gpu > self.gpu_there:
            parts.append(
                f"It needs about {self.gpu / GIB:.0f} GB of its memory on the GPU, which has "
                f"{self.gpu_there / GIB:.0f} GB. Choose the CPU, or a recipe with smaller crops."
            )
        if self.disk > self.disk_there:
            parts.append(
                f"It needs up to {self.disk / GIB:.0f} GB on the disk, where "
                f"{self.disk_there / GIB:.0f} GB are free."
            )
        return " ".join(parts)


def check_room(recipe: Recipe, cases: Iterable[DatasetCase], run: Path, gpu_there: int = 0) -> Room:
    """Estimate what a run needs; reads only the headers of the scans.

    Scans in DICOM folders are left out of the estimate.

    Parameters
    ----------
    gpu_there
        Bytes of the GPU that trains; 0 when the CPU does.
    """
    grids = [_extent_mm(case.scan) for case in cases if case.scan.is_file()]
    stages = [teacher.network for teacher in recipe.teachers for _ in range(teacher.folds)]
    stages += [stage for stage in (recipe.localiser, recipe.network) if stage is not None]
    packed = [_packed_bytes(stage, grids) for stage in stages]
    largest = max((voxels for voxels, _ in grids), default=0)
    loading, step = LOADED_BYTES * largest, STEP_BYTES * max(map(_batch_voxels, stages), default=0)
    place = next(folder for folder in (run, *run.parents) if folder.exists())
    return Room(
        # Packed cases are mapped, so however many there are they need no memory of their own.
        memory=FIXED_MEMORY + max(loading, 0 if gpu_there else step),
        disk=FIXED_DISK + sum(packed),
        memory_there=physical_memory(),
        disk_there=shutil.disk_usage(place).free,
        gpu=FIXED_GPU + step if gpu_there else 0,
        gpu_there=gpu_there,
    )


def physical_memory() -> int:
    """Bytes of memory that this computer has."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = (
                ("length", ctypes.c_uint32),
                ("load", ctypes.c_uint32),
                *((name, ctypes.c_uint64) for name in ("total", "free", "a", "b", "c", "d", "e")),
            )

        state = Status()
        state.length = ctypes.sizeof(Status)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(state))
        return int(state.total)
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))


def _extent_mm(scan: Path) -> tuple[int, float]:
    """Voxels and cubic millimeters of a scan, from its header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(scan))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 0, 0.0  # found out, with a sentence, by the check and by the run
    size, spacing = reader.GetSize()[:3], reader.GetSpacing()[:3]
    voxels, volume = 1, 1.0
    for n, mm in zip(size, spacing, strict=True):
        voxels, volume = voxels * n, volume * n * mm
    return voxels, volume


def _batch_voxels(stage: NetworkStage) -> int:
    settings = completed(stage.training)
    return settings.fit.batch * max(math.prod(patch) for patch in settings.sampling.patches)


def _packed_bytes(stage: NetworkStage, grids: list[tuple[int, float]]) -> int:
    grid: PackSettings = stage.grid
    if grid.fixed_size:
        a, b, c = grid.fixed_size
        return PACKED_BYTES * a * b * c * len(grids)
    k, j, i = grid.spacing
    scans = int(PACKED_BYTES * sum(volume for _, volume in grids) / (k * j * i))
    return scans + (_taught_bytes(grid) if grids else 0)


def _taught_bytes(grid: PackSettings) -> int:
    """Bytes of the cases that a teacher labels, as if all were as large as they may be."""
    taught = grid.taught
    slices = math.ceil(taught.length_mm[1] / grid.spacing[0])
    return TAUGHT_BYTES * taught.cases * slices * math.prod(LARGEST) if taught.teacher else 0
