"""Write Slicer's terminology and color table for the targets of ``Resources/labels.json``.

``python Testing/terminology.py`` writes ``Resources/Terminology/`` anew; a test compares.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "FlareSegment"))

from FlareSegmentLib.labels import Code, Target, targets  # noqa: E402

FOLDER = ROOT / "Resources" / "Terminology"
TERMINOLOGY = "FlareSegment.term.json"
COLOR_TABLE = "FlareSegment.csv"
CONTEXT = "FlareSegment"
"""Name of the terminology context in Slicer."""

_SCHEMA = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#"


def _entry(code: Code) -> dict[str, Any]:
    return {
        "CodingSchemeDesignator": code.scheme,
        "CodeValue": code.value,
        "CodeMeaning": code.meaning,
    }


def _display(target: Target) -> dict[str, Any]:
    return {
        "recommendedDisplayRGBValue": list(target.color),
        "3dSlicerLabel": target.name.lower(),
        "3dSlicerIntegerLabel": target.id,
    }


def terminology(all_targets: tuple[Target, ...]) -> str:
    """Slicer's ``.term.json``: categories with types, sided types with their modifiers."""
    categories: dict[Code, dict[str, Any]] = {}
    types: dict[tuple[Code, Code], dict[str, Any]] = {}
    for target in all_targets:
        if target.category not in categories:
            # Slicer asks for the anatomic region of a lesion, not of an organ.
            shows_region = target.category.meaning != "Anatomical Structure"
            categories[target.category] = {
                **_entry(target.category),
                "showAnatomy": shows_region,
                "Type": [],
            }
        key = (target.category, target.type)
        if key not in types:
            types[key] = _entry(target.type)
            categories[target.category]["Type"].append(types[key])
        if target.modifier is None:
            types[key].update(_display(target))
        else:
            modifiers = types[key].setdefault("Modifier", [])
            modifiers.append({**_entry(target.modifier), **_display(target)})
    content = {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": _SCHEMA,
        "SegmentationCodes": {"Category": list(categories.values())},
    }
    return json.dumps(content, indent=2) + "\n"


def color_table(all_targets: tuple[Target, ...]) -> str:
    """Slicer's color table with terminology columns, CSV."""
    columns = ["LabelValue", "Name", "Color_R", "Color_G", "Color_B", "Color_A"]
    terms = ("Category", "Type", "TypeModifier", "Region", "RegionModifier")
    parts = ("CodingScheme", "CodeValue", "CodeMeaning")
    columns += [f"{term}_{part}" for term in terms for part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for target in all_targets:
        codes: list[str] = []
        for code in (target.category, target.type, target.modifier, None, None):
            codes += ["", "", ""] if code is None else list(asdict(code).values())
        writer.writerow([target.id, target.name, *target.color, 255, *codes])
    return text.getvalue()


def main() -> None:
    """Write both files."""
    (FOLDER / TERMINOLOGY).write_text(terminology(targets()), encoding="utf-8")
    (FOLDER / COLOR_TABLE).write_text(color_table(targets()), encoding="utf-8")


if __name__ == "__main__":
    main()
