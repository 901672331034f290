"""The two things the engine takes and gives: a CT volume and a label map on its grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import spacing_of


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan with its position in the patient.

    Attributes
    ----------
    array
        Voxels ``(k, j, i)`` in HU, in the type they are stored in (int16, float32, ...).
    affine
        ``(4, 4)`` float64, maps ``(i, j, k, 1)`` to RAS millimetres. Axes may be in any order,
        oblique, or sheared (tilted gantry).
    name
        Case name, used for reports and file names.
    notes
        Sentences for the user gathered on the way: series chosen, padding replaced, ...
    """

    array: np.ndarray
    affine: np.ndarray
    name: str = ""
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along the array axes ``(k, j, i)``, in mm."""
        return spacing_of(self.affine)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml; right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A segmentation on the grid of the volume it was made from.

    Attributes
    ----------
    array
        Labels ``(k, j, i)``, uint8: 0 background, FLARE ids 1 to 14.
    affine
        ``(4, 4)`` float64, that of the input volume.
    targets
        Keys of the targets that were looked for.
    report
        JSON-able facts of the run: seconds per stage, device, precision, notes, model, windows.
    """

    array: np.ndarray
    affine: np.ndarray
    targets: tuple[str, ...]
    report: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write the label map; the format is that of the file's ending.

        Parameters
        ----------
        path
            ``.nii.gz``, ``.nrrd``, or ``.seg.nrrd`` with names, colors and terminology.
        overwrite
            Whether to replace a file that is there.

        Raises
        ------
        OutputError
            When there is a file already, or it cannot be written.
        """
        from .errors import OutputError
        from .labels import target_by_key
        from .writing import write_label_map  # here: scipy, which a scan does not need

        path = Path(path)
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} is there already. Choose another name, or allow it to be replaced with "
                "overwrite=True."
            )
        labels = [target_by_key(key) for key in self.targets]
        write_label_map(path, self.array, self.affine, labels)

    def measure(self, volume: Volume) -> list[dict[str, Any]]:
        """Measure every target on its scan.

        Parameters
        ----------
        volume
            The scan that was segmented.

        Returns
        -------
        list of dict
            Per target ``key``, ``name``, ``volume_ml``, ``mean_hu``, ``sd_hu`` and ``voxels``,
            see `organ_statistics`.

        Raises
        ------
        InputError
            When the scan has another grid.
        """
        from .statistics import organ_statistics

        return organ_statistics(self.array, volume.array, self.affine, self.targets)
