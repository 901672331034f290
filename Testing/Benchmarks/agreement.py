"""How far localiser and network agree: on real scans, phantoms, and volumes without an abdomen.

python Testing/Benchmarks/agreement.py [--shared ../shared]

`LocaliserSettings.least_agreement` is chosen between the two groups. Printed is the report's
`localiser_agreement`; "-" where the localiser alone already saw no abdomen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from FlareSegmentLib.bundle import ModelBundle, bundled_model
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.localiser import LocaliserSettings
from FlareSegmentLib.phantom import PhantomSettings, make_phantom
from FlareSegmentLib.phantom.negatives import make_head, make_legs, make_noise
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.volume import Volume


def main() -> None:
    """Print one line per volume."""
    command = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    command.add_argument("--shared", type=Path, default=Path("../shared"))
    data = command.parse_args().shared / "data"
    # Nothing is rejected here: the figures are what a limit is chosen from.
    settings = InferenceSettings(localiser=LocaliserSettings(least_agreement=0.0))
    segmenter = Segmenter(ModelBundle.load(bundled_model()), "cpu", settings)
    scans = sorted(data.glob("validation/*_ct.nii.gz")) + sorted(data.glob("ct/*.nii.gz"))
    for path in scans:
        report(segmenter, read_volume(path), path.name)
    for seed in range(1, 5):
        report(segmenter, make_phantom(PhantomSettings(seed=seed))[0], f"phantom {seed}")
    for make in (make_head, make_legs, make_noise):
        for seed in range(1, 25):
            report(segmenter, make(seed)[0], f"{make.__name__} {seed}")


def report(segmenter: Segmenter, volume: Volume, name: str) -> None:
    """Print the agreement on one volume."""
    try:
        value = segmenter.segment(volume).report["localiser_agreement"]
    except InputError as error:
        print(f"{name:32} refused: {error}")
        return
    print(f"{name:32} {'-' if value is None else value}")


if __name__ == "__main__":
    main()
