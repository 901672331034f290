"""Which cases contribute which pseudo-labels; every decision goes into a table.

The agreement gate (P1), the ranking by uncertainty for organs and tumor apart (P3) and the most
credible share (P4), as pure functions from scores to decisions.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from .dataset import DatasetCase
from .label_values import ORGANS
from .refine_settings import GateSettings, RefineSettings, UncertaintySettings


@dataclass(frozen=True)
class CaseScores:
    """What is known about one case before anything is decided.

    `agreement` is that of the gate's two sources; the uncertainties are of the first three.
    None where a source is missing.
    """

    case: str
    kind: Literal["full", "partial", "unlabeled"]
    sources: tuple[str, ...]
    agreement: float | None = None
    organ_uncertainty: float | None = None
    tumor_uncertainty: float | None = None


@dataclass(frozen=True)
class Decision:
    """One line of the table: what was decided about a case, by which number."""

    case: str
    kind: str
    step: str
    decision: str
    score: float | None = None
    limit: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class CasePlan:
    """What a case contributes: nothing, its truth, pseudo-organs too, pseudo-tumors too."""

    case: str
    used: bool
    organs: bool
    tumor: bool


def case_kind(case: DatasetCase) -> str:
    """Whether a case is "full" (13 organs annotated), "partial" or "unlabeled"."""
    if set(ORGANS) <= case.known:
        return "full"
    return "partial" if case.annotated else "unlabeled"


def select_cases(
    scores: Sequence[CaseScores], settings: RefineSettings
) -> tuple[dict[str, CasePlan], list[Decision]]:
    """Decide for every case what it contributes.

    Returns
    -------
    plans, decisions
        Plans by case name; decisions in the order in which they were made.
    """
    decisions: list[Decision] = []
    candidates = []
    needed = 3 if settings.labels == "majority" else 1
    for score in scores:
        if score.kind == "full":
            continue
        if len(score.sources) >= needed:
            candidates.append(score)
            continue
        reason = f"{len(score.sources)} pseudo-labels, {needed} are needed."
        decisions.append(Decision(score.case, score.kind, "sources", "rejected", reason=reason))
    if settings.gate is not None:
        candidates = _gate(candidates, settings.gate, decisions)
    if settings.top_fraction < 1.0:
        candidates = _most_credible(candidates, settings.top_fraction, decisions)
    with_tumor = {score.case for score in candidates if settings.tumor == "always"}
    if settings.uncertainty is not None:
        candidates, certain = _least_uncertain(candidates, settings.uncertainty, decisions)
        if settings.tumor == "certain":
            with_tumor = certain
    taken = {score.case for score in candidates}
    plans = {}
    for score in scores:
        truth_only = score.kind == "full" or (
            score.kind == "partial" and settings.rejected == "truth only"
        )
        used = score.case in taken or truth_only
        plan = CasePlan(score.case, used, score.case in taken, score.case in with_tumor)
        plans[score.case] = plan
        decisions.append(
            Decision(score.case, score.kind, "use", _use(plan), reason="The sum of the above.")
        )
    return plans, decisions


def _use(plan: CasePlan) -> str:
    if not plan.used:
        return "left out"
    if not plan.organs:
        return "truth only"
    return "pseudo organs and tumors" if plan.tumor else "pseudo organs"


def _gate(
    candidates: list[CaseScores], gate: GateSettings, decisions: list[Decision]
) -> list[CaseScores]:
    passed = []
    for score in candidates:
        value = score.agreement
        good, reason = _gate_one(score, gate)
        decisions.append(
            Decision(
                score.case,
                score.kind,
                "agreement gate",
                "passed" if good else "rejected",
                value,
                gate.least_agreement,
                reason,
            )
        )
        if good:
            passed.append(score)
    kept = []
    for kind, most in (("partial", gate.most_partial), ("unlabeled", gate.most_unlabeled)):
        group = [score for score in passed if score.kind == kind]
        group.sort(key=lambda s: (-(s.agreement or 0.0) if gate.rank == "score" else 0.0, s.case))
        for place, score in enumerate(group):
            if not most or place < most:
                kept.append(score)
                continue
            reason = f"{most} {kind} cases with a better place were taken (rank by {gate.rank})."
            decisions.append(
                Decision(score.case, kind, "gate rank", "rejected", score.agreement, None, reason)
            )
    return kept


def _gate_one(score: CaseScores, gate: GateSettings) -> tuple[bool, str]:
    """Whether a case passes P1's gate, and why."""
    if score.agreement is not None:
        good = score.agreement > gate.least_agreement
        return good, "The two sources agree." if good else "The two sources differ."
    if len(score.sources) > 1:
        return False, "A second source is missing, or neither found an organ."
    if gate.uncompared == "pass":
        return True, "There is one source only, which is trusted: nothing was compared."
    return False, "A second source is missing."


def _most_credible(
    candidates: list[CaseScores], fraction: float, decisions: list[Decision]
) -> list[CaseScores]:
    """P4: the most credible share of the unlabeled; by uncertainty, or agreement without it."""
    # One measure for all: a disagreement of three maps is no DSC of two.
    by_uncertainty = all(
        score.organ_uncertainty is not None for score in candidates if score.kind == "unlabeled"
    )

    def doubt(score: CaseScores) -> float:
        if by_uncertainty:
            return _or_infinite(score.organ_uncertainty)
        return math.inf if score.agreement is None else 1.0 - score.agreement

    return _lowest(candidates, doubt, fraction, "most credible", decisions)


def _least_uncertain(
    candidates: list[CaseScores], settings: UncertaintySettings, decisions: list[Decision]
) -> tuple[list[CaseScores], set[str]]:
    """P3: the least uncertain organs; among them, the least uncertain tumors."""

    def organs(score: CaseScores) -> float:
        return _or_infinite(score.organ_uncertainty)

    def tumor(score: CaseScores) -> float:
        return _or_infinite(score.tumor_uncertainty)

    kept = _lowest(candidates, organs, settings.organ_share, "organ uncertainty", decisions)
    unlabeled = [score for score in kept if score.kind == "unlabeled"]
    certain = _lowest(
        unlabeled,
        tumor,
        settings.tumor_share,
        "tumor uncertainty",
        decisions,
        "tumor to background",
    )
    return kept, {score.case for score in certain}


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value


def _lowest(
    candidates: list[CaseScores],
    doubt: Callable[[CaseScores], float],
    share: float,
    step: str,
    decisions: list[Decision],
    otherwise: str = "rejected",
) -> list[CaseScores]:
    """The share of the unlabeled cases with the lowest finite doubt; partial ones stay."""
    ranked = sorted(
        (s for s in candidates if s.kind == "unlabeled"), key=lambda s: (doubt(s), s.case)
    )
    # Rounded up: of few cases at least one is taken.
    count = math.ceil(share * len(ranked) - 1e-9)
    kept = {score.case for score in ranked[:count] if math.isfinite(doubt(score))}
    limit = max((doubt(score) for score in ranked if score.case in kept), default=None)
    for place, score in enumerate(ranked, start=1):
        value = doubt(score)
        decisions.append(
            Decision(
                score.case,
                score.kind,
                step,
                "taken" if score.case in kept else otherwise,
                value,
                limit,
                f"Place {place} of {len(ranked)}, {count} are taken."
                + ("" if math.isfinite(value) else " There is no finite score."),
            )
        )
    return [s for s in candidates if s.kind != "unlabeled" or s.case in kept]


def decisions_csv(decisions: Sequence[Decision]) -> str:
    """Table of decisions as CSV text."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(Decision.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    for decision in decisions:
        row = asdict(decision)
        for key in ("score", "limit"):
            row[key] = "" if row[key] is None else f"{row[key]:.4f}"
        table.writerow(row)
    return text.getvalue()
