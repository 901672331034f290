"""Results of an evaluation: FLARE's means, and the tables as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .labels import target_by_id, target_by_key, targets
from .lesions import LesionCount
from .metrics import Mode, Score

_TUMOR = "tumor"
_BOTH = ("dsc", "nsd")

_Pair = tuple[float | None, float | None]

_MOST_COLUMNS = 6
"""Text tables show the cases side by side up to this number."""


@dataclass(frozen=True)
class CaseEvaluation:
    """Scores of one case; `lesions` is None where tumor was not annotated."""

    case: str
    scores: tuple[Score, ...]
    lesions: LesionCount | None


@dataclass(frozen=True)
class Evaluation:
    """Scores of all cases, and the means FLARE ranks by.

    Attributes
    ----------
    mode
        ``"correct"`` or ``"flare"``.
    cases
        In the order of their names.
    unpaired
        Sentences about label maps without a counterpart.
    """

    mode: Mode
    cases: tuple[CaseEvaluation, ...]
    unpaired: tuple[str, ...] = ()

    def target_means(self) -> dict[str, dict[str, float]]:
        """Mean ``dsc`` and ``nsd`` over the cases per target key, and how many ``cases``."""
        means = {}
        for target in targets():
            scores = [
                score for case in self.cases for score in case.scores if score.id == target.id
            ]
            if scores:
                means[target.key] = {
                    "dsc": float(np.mean([score.dsc for score in scores])),
                    "nsd": float(np.mean([score.nsd for score in scores])),
                    "cases": len(scores),
                }
        return means

    def summary(self) -> dict[str, Any]:
        """JSON-able means: organs (mean of the organs' means, as FLARE), tumor, and lesions.

        ``organs_in_view`` is the mean over all pairs of case and organ in which the reference has
        the organ: organs that are absent in both score 1 by FLARE's rule and flatter short scans.
        """
        means = self.target_means()
        organs = [mean for key, mean in means.items() if key != _TUMOR]
        tumor = target_by_key(_TUMOR).id
        in_view = [
            score
            for case in self.cases
            for score in case.scores
            if score.id != tumor and score.reference_voxels
        ]
        return {
            "organs": {what: _mean([mean[what] for mean in organs]) for what in ("dsc", "nsd")},
            "organs_in_view": {
                "dsc": _mean([score.dsc for score in in_view]),
                "nsd": _mean([score.nsd for score in in_view]),
            },
            "tumor": {what: means[_TUMOR][what] if _TUMOR in means else None for what in _BOTH},
            "lesions": _lesion_summary([case.lesions for case in self.cases if case.lesions]),
        }

    def as_json(self) -> str:
        """All scores and means as JSON text; NaN becomes null."""
        cases = [
            {
                "case": case.case,
                "targets": {target_by_id(s.id).key: _without_id(s) for s in case.scores},
                "lesions": None if case.lesions is None else asdict(case.lesions),
            }
            for case in self.cases
        ]
        content = {
            "mode": self.mode,
            "summary": self.summary(),
            "targets": self.target_means(),
            "cases": cases,
            "unpaired": list(self.unpaired),
        }
        return json.dumps(_nan_to_none(content), indent=1, allow_nan=False) + "\n"

    def as_csv(self) -> str:
        """One line per case and target."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["case", "target", "dsc", "nsd", "voxels", "reference_voxels"])
        for case in self.cases:
            for s in case.scores:
                key = target_by_id(s.id).key
                table.writerow(
                    [case.case, key, f"{s.dsc:.4f}", f"{s.nsd:.4f}", s.voxels, s.reference_voxels]
                )
        return text.getvalue()

    def as_table(self) -> str:
        """Text table in percent: DSC and NSD per target, mean and single cases, then the means."""
        shown = self.cases if len(self.cases) <= _MOST_COLUMNS else ()
        names = ["mean"] + [case.case for case in shown]
        widths = [max(13, len(name) + 2) for name in names]
        rows = [
            " " * 20
            + "".join(name.rjust(width) for name, width in zip(names, widths, strict=True)),
            " " * 20 + "".join("DSC   NSD".rjust(width) for width in widths),
        ]
        for key, mean in self.target_means().items():
            label = target_by_key(key).id
            pairs: list[_Pair] = [(mean["dsc"], mean["nsd"])]
            for case in shown:
                scores = [score for score in case.scores if score.id == label]
                pairs.append((scores[0].dsc, scores[0].nsd) if scores else (None, None))
            rows.append(_row(key, pairs, widths))
        return "\n".join([*rows, "", *self._summary_lines(), *self.unpaired])

    def _summary_lines(self) -> list[str]:
        summary = self.summary()
        lines = []
        for name, title in (
            ("organs", "organs (mean of the organs' means)"),
            ("organs_in_view", "organs the references have"),
            ("tumor", "tumor"),
        ):
            if summary[name]["dsc"] is not None:
                dsc, nsd = (_percent(summary[name][what]).strip() for what in _BOTH)
                lines.append(f"{title}: DSC {dsc}, NSD {nsd}")
        lesions = summary["lesions"]
        if lesions is not None:
            lines.append(
                f"lesions of 1 ml and more: {lesions['found']} of {lesions['lesions']} found"
            )
            if lesions["tumor_free_scans"]:
                rate = lesions["false_positives_per_tumor_free_scan"]
                lines.append(
                    f"false lesions per tumor-free scan: {rate:.2f} "
                    f"({lesions['tumor_free_scans']} scans)"
                )
        count = f"{len(self.cases)} case" + ("" if len(self.cases) == 1 else "s")
        return [*lines, f"{count}, mode {self.mode}"]


def _row(key: str, pairs: list[_Pair], widths: list[int]) -> str:
    cells = [f"{_percent(dsc)} {_percent(nsd)}" for dsc, nsd in pairs]
    return key.ljust(20) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))


def _percent(value: float | None) -> str:
    return "-".rjust(5) if value is None or math.isnan(value) else f"{100 * value:5.1f}"


def _lesion_summary(counts: list[LesionCount]) -> dict[str, Any] | None:
    if not counts:
        return None
    lesions, found = sum(c.lesions for c in counts), sum(c.found for c in counts)
    free = [c for c in counts if c.tumor_free]
    return {
        "lesions": lesions,
        "found": found,
        "sensitivity": found / lesions if lesions else None,
        "tumor_free_scans": len(free),
        "false_positives_per_tumor_free_scan": _mean([c.predicted for c in free]),
    }


def _mean(values: Collection[float]) -> float | None:
    return float(np.mean(list(values))) if values else None


def _without_id(score: Score) -> dict[str, Any]:
    return {key: value for key, value in asdict(score).items() if key != "id"}


def _nan_to_none(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _nan_to_none(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_nan_to_none(value) for value in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content
