from __future__ import annotations

import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import parse_targets, target_by_id, target_by_key, targets

FLARE_ORDER = (
    "liver",
    "right_kidney",
    "spleen",
    "pancreas",
    "aorta",
    "inferior_vena_cava",
    "right_adrenal_gland",
    "left_adrenal_gland",
    "gallbladder",
    "esophagus",
    "stomach",
    "duodenum",
    "left_kidney",
    "tumor",
)


def test_ids_and_order_are_those_of_flare() -> None:
    assert tuple(target.key for target in targets()) == FLARE_ORDER
    assert [target.id for target in targets()] == list(range(1, 15))


def test_tolerances_are_those_of_flare() -> None:
    expected = [5, 3, 3, 5, 2, 2, 2, 2, 2, 3, 5, 7, 3, 2]
    assert [target.nsd_tolerance_mm for target in targets()] == expected


def test_only_tubes_are_cut_to_the_reference() -> None:
    cut = {target.key for target in targets() if target.cut_to_reference}
    assert cut == {"aorta", "inferior_vena_cava", "esophagus"}


def test_sides_have_the_codes_of_their_side() -> None:
    """A swapped code would put the wrong side into every hospital system that reads it."""
    for target in targets():
        if target.key.startswith("left_"):
            assert target.modifier is not None
            assert (target.modifier.value, target.modifier.meaning) == ("7771000", "Left")
        elif target.key.startswith("right_"):
            assert target.modifier is not None
            assert (target.modifier.value, target.modifier.meaning) == ("24028007", "Right")
        else:
            assert target.modifier is None


def test_codes_of_different_targets_differ() -> None:
    codes = {(target.category, target.type, target.modifier) for target in targets()}
    assert len(codes) == len(targets())


def test_target_is_found_by_key_and_by_id() -> None:
    for target in targets():
        assert target_by_key(target.key) is target
        assert target_by_id(target.id) is target


@pytest.mark.parametrize("label", [0, 15, 255])
def test_unknown_label_value_is_refused(label: int) -> None:
    with pytest.raises(InputError, match=str(label)):
        target_by_id(label)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("spleen,liver", ("liver", "spleen")),
        (" Left Kidney , left-kidney", ("left_kidney",)),
        (["tumor"], ("tumor",)),
        ("all", FLARE_ORDER),
        ("", FLARE_ORDER),
        (None, FLARE_ORDER),
    ],
)
def test_targets_are_parsed_in_order_of_ids(text: str, keys: tuple[str, ...]) -> None:
    assert parse_targets(text) == keys


def test_unknown_word_is_named_with_the_choices() -> None:
    with pytest.raises(InputError, match=r'"lever" is not a target.*liver, right_kidney'):
        parse_targets("spleen,lever")
    with pytest.raises(InputError, match='"lever" is not a target'):
        target_by_key("lever")
