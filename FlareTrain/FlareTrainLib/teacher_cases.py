"""Which cases a teacher learns from, and its folds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id

from .recipe import Teacher
from .refinement import RefinedCase

logger = logging.getLogger(__name__)


def teacher_cases(refined: Sequence[RefinedCase], teacher: Teacher) -> list[RefinedCase]:
    """Cases of which the teacher's targets are known: all of them, or some, as the recipe says.

    Raises
    ------
    InputError
        When nothing is known of its targets in any case.
    """
    wanted = set(teacher.network.training.targets)
    some = [case for case in refined if wanted & {*case.annotated, *case.pseudo}]
    if not some:
        keys = ", ".join(target_by_id(label).key for label in sorted(wanted))
        raise InputError(
            f"Teacher '{teacher.name}' has nothing to learn from: no case is annotated for {keys}. "
            "Annotate some, or take the teacher out of the recipe."
        )
    if teacher.needs == "some targets":
        return some
    every = [case for case in some if wanted <= {*case.annotated, *case.pseudo}]
    if len(every) >= min(2, teacher.folds):
        return every
    logger.warning(
        "Teacher '%s' should learn from cases that are annotated for all its targets, but there "
        "%s %d: it learns from the %d that are annotated for some.",
        teacher.name,
        "is only" if len(every) == 1 else "are",
        len(every),
        len(some),
    )
    return some


def without_fold(cases: Sequence[RefinedCase], teacher: Teacher, fold: int) -> list[RefinedCase]:
    """Cases that the network of a fold learns from: all but every k-th.

    Raises
    ------
    InputError
        When none is left.
    """
    if teacher.folds == 1:
        return list(cases)
    learned = [case for n, case in enumerate(cases) if n % teacher.folds != fold]
    if not learned:
        raise InputError(
            f"Teacher '{teacher.name}' has {len(cases)} cases for {teacher.folds} folds. Give it "
            "more cases, or fewer folds."
        )
    return learned
