"""How far localiser and network agree: on real scans, their parts, phantoms, and without abdomen.

python Testing/Benchmarks/agreement.py [--shared ../shared] [--model FOLDER]

`LocaliserSettings.least_agreement` is chosen between the two groups. Printed is the report's
`localiser_agreement`; "-" where the localiser alone already saw no abdomen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from fields_of_view import main_parts, pieces
from negatives import PSEUDO

from FlareSegmentLib.bundle import ModelBundle, bundled_model
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.localiser import LocaliserSettings
from FlareSegmentLib.phantom import PhantomSettings, make_phantom
from FlareSegmentLib.phantom.negatives import make_head, make_legs, make_noise
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.volume import Volume


def main() -> None:
    """Print one line per volume."""
    command = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    command.add_argument("--shared", type=Path, default=Path("../shared"))
    command.add_argument("--model", type=Path, default=bundled_model())
    arguments = command.parse_args()
    data = arguments.shared / "data"
    # Nothing is rejected here: the figures are what a limit is chosen from.
    bundle = ModelBundle.load(arguments.model)
    settings = InferenceSettings.of(bundle.info.inference)
    settings = replace(settings, localiser=LocaliserSettings(least_agreement=0.0))
    segmenter = Segmenter(bundle, "cpu", settings)
    scans = sorted(data.glob("validation/*_ct.nii.gz")) + sorted(data.glob("ct/*.nii.gz"))
    for path in scans:
        report(segmenter, read_volume(path), path.name)
    for path in sorted(data.glob("ct/*.nii.gz")):
        labels = data / "pseudo" / PSEUDO / path.name
        if labels.is_file():
            report_parts(segmenter, path, labels)
    report_wrong_directions(segmenter, data / "ct" / "chaos_ct03.nii.gz")
    for seed in range(1, 5):
        report(segmenter, make_phantom(PhantomSettings(seed=seed))[0], f"phantom {seed}")
    for make in (make_head, make_legs, make_noise):
        for seed in range(1, 25):
            report(segmenter, make(seed)[0], f"{make.__name__} {seed}")


def report_parts(segmenter: Segmenter, scan: Path, labels: Path) -> None:
    """Print the agreement on the parts above and below the organs."""
    volume, order = canonical_volume(read_volume(scan))
    organs = main_parts(order.apply(read_label_map(labels)[0]))
    for piece in pieces(organs, volume.spacing[0]):
        if not piece.group.startswith("slab"):
            affine = volume.affine.copy()
            affine[:3, 3] += affine[:3, 2] * piece.slices.start
            part = replace(volume, array=volume.array[piece.slices], affine=affine)
            report(segmenter, part, f"{scan.name.split('.')[0]}, {piece.group}")


def report_wrong_directions(segmenter: Segmenter, scan: Path) -> None:
    """Print the agreement on a scan that lies otherwise than its header says."""
    volume, _ = canonical_volume(read_volume(scan))
    array = volume.array
    for name, turned in (
        ("mirrored", array[:, :, ::-1]),
        ("upside down", array[::-1]),
        ("prone", array[:, ::-1, ::-1]),
        ("on the side", np.rot90(array, 1, (1, 2))),
    ):
        report(segmenter, replace(volume, array=turned), f"{scan.name.split('.')[0]}, {name}")


def report(segmenter: Segmenter, volume: Volume, name: str) -> None:
    """Print the agreement on one volume."""
    try:
        value = segmenter.segment(volume).report["localiser_agreement"]
    except InputError as error:
        print(f"{name:52} refused: {error}")
        return
    print(f"{name:52} {'-' if value is None else value}")


if __name__ == "__main__":
    main()
