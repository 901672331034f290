"""Scans to try the module with."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

_ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"
_URL = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
_SCANS = (
    ("CTLiver", "CTLiver.nrrd", "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"),
    (
        "CTAAbdomenPanoramix",
        "Panoramix-cropped.nrrd",
        "146af87511520c500a3706b7b2bfb545f40d5d04dd180be3a7a2c6940e447433",
    ),
)
"""Name, file and SHA-256 of Slicer's own abdominal scans."""


def registerSampleData() -> None:
    """Offer Slicer's own abdominal scans where users look for data to try the module with."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory("FlareSegment", title=_("Abdominal CT (FLARE)"))
    for name, file, digest in _SCANS:
        logic.registerCustomSampleDataSource(
            category="FlareSegment",
            sampleName=f"{name}FLARE",
            thumbnailFileName=str(_ICONS / f"{name}.png"),
            uris=_URL + digest,
            fileNames=file,
            checksums=f"SHA256:{digest}",
            nodeNames=name,
        )
