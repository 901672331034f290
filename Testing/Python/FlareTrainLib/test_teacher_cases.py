"""What a teacher learns from: cases with its targets, all but its fold."""

from __future__ import annotations

import pytest

from FlareSegmentLib.errors import InputError
from FlareTrainLib.recipe import NetworkStage, Teacher, read_recipe
from FlareTrainLib.refinement import RefinedCase
from FlareTrainLib.teacher_cases import teacher_cases, without_fold
from FlareTrainLib.training_settings import TrainingSettings

ORGANS = tuple(range(1, 14))
FULL = [RefinedCase(f"full_{n}", ORGANS, (), "unknown") for n in range(3)]
PARTIAL = RefinedCase("partial", (1, 3), (), "unknown")
TUMOR_ONLY = RefinedCase("tumor", (14,), (), "annotated")


def organ_teacher(**settings: object) -> Teacher:
    training = TrainingSettings(targets=ORGANS)
    return Teacher("organs", NetworkStage(training=training), **settings)  # type: ignore[arg-type]


def test_an_organ_teacher_learns_from_cases_with_all_its_organs() -> None:
    """P5: the 222 cases with all 13 organs, not the 1800 with some."""
    (p5,) = [teacher for teacher in read_recipe("p5").teachers if teacher.name == "organs"]
    assert p5.needs == "all targets"
    cases = [*FULL, PARTIAL, TUMOR_ONLY]
    assert teacher_cases(cases, organ_teacher(needs="all targets", folds=3)) == FULL
    assert teacher_cases(cases, organ_teacher()) == [*FULL, PARTIAL]


def test_where_no_case_has_all_those_with_some_are_taken_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cases = [FULL[0], PARTIAL, TUMOR_ONLY]
    teacher = organ_teacher(needs="all targets", folds=3)
    assert teacher_cases(cases, teacher) == [FULL[0], PARTIAL]
    assert "there is only 1: it learns from the 2" in caplog.text


def test_a_teacher_without_a_case_says_so() -> None:
    with pytest.raises(InputError, match="'organs' has nothing to learn from"):
        teacher_cases([TUMOR_ONLY], organ_teacher())


def test_every_case_is_left_out_by_one_fold() -> None:
    teacher = organ_teacher(folds=3)
    left_out = [
        case.name
        for fold in range(3)
        for case in FULL
        if case not in without_fold(FULL, teacher, fold)
    ]
    assert sorted(left_out) == ["full_0", "full_1", "full_2"]
    with pytest.raises(InputError, match="1 cases for 3 folds"):
        without_fold(FULL[:1], teacher, 0)
