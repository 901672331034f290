"""How a bundle is run: one frozen dataclass for everything between scan and label map."""

from __future__ import annotations

from dataclasses import dataclass, field

from .bundle import BundleInference
from .cleanup import CleanupSettings
from .localiser import LocaliserSettings


@dataclass(frozen=True)
class InferenceSettings:
    """How a bundle is run.

    Attributes
    ----------
    step
        Distance of neighbouring windows as a share of the window.
    patch
        Largest window (k, j, i) voxels; empty takes the bundle's.
    precision
        "auto", "float32", "bfloat16" or "float16".
    upsampling
        "logits" (exact), or "labels" (P1: threshold, then resample; about 4 points of DSC worse).
    window_filter
        Leave out rows of windows whose middle holds no organ (P3); see `windows.row_probes`.
    logit_offsets
        Added to the logits of these targets: below zero draws them smaller.
    localiser, cleanup
        Settings of these stages; `cleanup` None switches it off.
    """

    step: float = 0.75
    patch: tuple[int, ...] = ()
    precision: str = "auto"
    upsampling: str = "logits"
    window_filter: bool = False
    logit_offsets: dict[str, float] = field(default_factory=dict)
    localiser: LocaliserSettings = field(default_factory=LocaliserSettings)
    cleanup: CleanupSettings | None = field(default_factory=CleanupSettings)

    @classmethod
    def of(cls, wanted: BundleInference) -> InferenceSettings:
        """Give the settings that a bundle asks for."""
        return cls(
            step=wanted.step,
            upsampling=wanted.upsampling,
            window_filter=wanted.window_filter,
            logit_offsets=dict(wanted.logit_offsets),
            cleanup=CleanupSettings(
                largest_only=wanted.largest_only, tumor_outside=wanted.tumor_outside
            ),
        )
