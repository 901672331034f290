"""Who is taken and why: the gate of P1, the ranking of P3, the share of P4."""

from __future__ import annotations

import csv
import io

from FlareTrainLib.refine_settings import GateSettings, RefineSettings, UncertaintySettings
from FlareTrainLib.selection import CaseScores, decisions_csv, select_cases

TWO = ("a", "b")
THREE = ("a", "b", "c")


def unlabeled(name: str, agreement: float | None = None, **scores: float) -> CaseScores:
    return CaseScores(name, "unlabeled", THREE, agreement, **scores)


def test_gate_takes_what_is_above_the_limit_and_says_why() -> None:
    scores = [
        CaseScores("full", "full", TWO, 0.1),
        CaseScores("partly", "partial", TWO, 0.84),
        unlabeled("good", 0.9),
        unlabeled("at limit", 0.85),
        CaseScores("one source", "unlabeled", ("a",), None),
    ]
    plans, decisions = select_cases(scores, RefineSettings(gate=GateSettings()))
    used = {name: plan.used for name, plan in plans.items()}
    assert used == {
        "full": True,
        "partly": True,
        "good": True,
        "at limit": False,
        "one source": False,
    }
    assert plans["good"].organs
    assert not plans["partly"].organs, "rejected pseudo-labels leave the truth"
    assert not plans["full"].organs
    gate = {d.case: d for d in decisions if d.step == "agreement gate"}
    assert gate["good"].score == 0.9
    assert gate["good"].limit == 0.85
    assert gate["at limit"].decision == "rejected"
    assert gate["one source"].reason == "A second source is missing."


def test_a_single_source_passes_the_gate_only_where_the_recipe_trusts_it() -> None:
    scores = [
        CaseScores("one source", "unlabeled", ("a",)),
        CaseScores("nothing found", "unlabeled", TWO),
        unlabeled("differ", 0.3),
    ]
    for uncompared, used in (("reject", set()), ("pass", {"one source"})):
        gate = GateSettings(uncompared=uncompared)  # type: ignore[arg-type]
        plans, decisions = select_cases(scores, RefineSettings(gate=gate))
        assert {name for name, plan in plans.items() if plan.used} == used
    (row,) = [d for d in decisions if d.case == "one source" and d.step == "agreement gate"]
    assert row.decision == "passed"
    assert row.score is None
    assert "nothing was compared" in row.reason


def test_gate_takes_the_best_or_as_the_paper_the_first() -> None:
    scores = [unlabeled("a", 0.9), unlabeled("b", 0.99), unlabeled("c", 0.95)]
    best = RefineSettings(gate=GateSettings(most_unlabeled=2))
    first = RefineSettings(gate=GateSettings(most_unlabeled=2, rank="name"))
    assert {n for n, p in select_cases(scores, best)[0].items() if p.used} == {"b", "c"}
    assert {n for n, p in select_cases(scores, first)[0].items() if p.used} == {"a", "b"}


def test_partial_cases_can_be_left_out_when_rejected() -> None:
    scores = [CaseScores("partly", "partial", TWO, 0.2)]
    plans, _ = select_cases(scores, RefineSettings(gate=GateSettings(), rejected="leave out"))
    assert not plans["partly"].used


def test_least_uncertain_organs_first_and_of_these_the_least_uncertain_tumors() -> None:
    scores = [
        unlabeled(str(n), organ_uncertainty=n / 10, tumor_uncertainty=1 - n / 10) for n in range(10)
    ]
    settings = RefineSettings(
        uncertainty=UncertaintySettings(organ_share=0.5, tumor_share=0.2), tumor="certain"
    )
    plans, decisions = select_cases(scores, settings)
    assert {n for n, p in plans.items() if p.used} == {"0", "1", "2", "3", "4"}
    assert {n for n, p in plans.items() if p.tumor} == {"4"}
    background = {d.case for d in decisions if d.decision == "tumor to background"}
    assert background == {"0", "1", "2", "3"}


def test_an_infinite_or_missing_uncertainty_is_never_taken() -> None:
    scores = [unlabeled("x", organ_uncertainty=float("inf")), unlabeled("y")]
    settings = RefineSettings(uncertainty=UncertaintySettings(organ_share=1.0, tumor_share=1.0))
    plans, _ = select_cases(scores, settings)
    assert not any(plan.used for plan in plans.values())


def test_most_credible_half() -> None:
    scores = [unlabeled(str(n), organ_uncertainty=n / 10) for n in range(5)]
    plans, _ = select_cases(scores, RefineSettings(top_fraction=0.5))
    assert {n for n, p in plans.items() if p.used} == {"0", "1", "2"}


def test_tumors_are_never_pseudo_labeled_by_default() -> None:
    plans, _ = select_cases([unlabeled("x", 0.9)], RefineSettings())
    assert plans["x"].organs
    assert not plans["x"].tumor


def test_a_majority_needs_three_sources_of_a_case() -> None:
    scores = [unlabeled("three"), CaseScores("two", "unlabeled", TWO)]
    plans, decisions = select_cases(scores, RefineSettings(labels="majority"))
    assert plans["three"].used
    assert not plans["two"].used
    (rejected,) = [d for d in decisions if d.step == "sources"]
    assert rejected.reason == "2 pseudo-labels, 3 are needed."


def test_table_has_a_line_per_decision() -> None:
    scores = [unlabeled("a", 0.9), unlabeled("b", 0.5)]
    _, decisions = select_cases(scores, RefineSettings(gate=GateSettings()))
    rows = list(csv.DictReader(io.StringIO(decisions_csv(decisions))))
    assert [row["case"] for row in rows] == [d.case for d in decisions]
    assert rows[0]["score"] == "0.9000"


def test_credibility_is_measured_alike_for_all_cases() -> None:
    """A disagreement of three maps and a DSC of two cannot be put into one order."""
    scores = [
        unlabeled("three sources", 0.95, organ_uncertainty=0.2),
        CaseScores("two sources", "unlabeled", TWO, 0.85),
    ]
    plans, decisions = select_cases(scores, RefineSettings(top_fraction=0.5))
    assert {name for name, plan in plans.items() if plan.used} == {"three sources"}
    shown = {d.case: d.score for d in decisions if d.step == "most credible"}
    assert shown["three sources"] == 1 - 0.95
    assert shown["two sources"] == 1 - 0.85


def test_the_order_of_cases_decides_nothing() -> None:
    """Ties go by name, so the same cases are taken however the folder is read."""
    scores = [unlabeled(name, 0.9, organ_uncertainty=0.3, tumor_uncertainty=0.0) for name in "dbca"]
    settings = RefineSettings(
        gate=GateSettings(most_unlabeled=3),
        uncertainty=UncertaintySettings(organ_share=0.5, tumor_share=0.5),
        tumor="certain",
    )
    one, _ = select_cases(scores, settings)
    other, _ = select_cases(scores[::-1], settings)
    assert one == other
    assert {name for name, plan in one.items() if plan.used} == {"a", "b"}
    assert [name for name, plan in sorted(one.items()) if plan.tumor] == ["a"]
