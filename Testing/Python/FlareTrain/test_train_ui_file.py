"""The panel's .ui file: nothing without an explanation, and the tab key goes from top to bottom."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[3]
PANEL = ElementTree.parse(ROOT / "FlareTrain/Resources/UI/FlareTrain.ui").getroot()
INPUTS = {
    "QPushButton", "QComboBox", "QSpinBox", "QLineEdit", "QListWidget", "QTableWidget",
    "ctkPathLineEdit", "qMRMLNodeComboBox",
}  # fmt: skip


def prop(widget: ElementTree.Element, name: str) -> str:
    """The text of a property, "" when it is not set."""
    for entry in widget.findall("property"):
        if entry.get("name") == name:
            return "".join(entry.itertext()).strip()
    return ""


def test_every_input_explains_itself() -> None:
    silent = [
        widget.get("name")
        for widget in PANEL.iter("widget")
        if widget.get("class") in INPUTS and not prop(widget, "toolTip")
    ]
    assert silent == []


def test_the_tab_key_goes_from_top_to_bottom() -> None:
    """Qt goes in the order of the file."""
    for layout in PANEL.iter("layout"):
        places = [
            (int(item.get("row", 0)), int(item.get("column", 0))) for item in layout.findall("item")
        ]
        assert places == sorted(places), layout.get("name")


def test_long_texts_do_not_widen_the_panel() -> None:
    for widget in PANEL.iter("widget"):
        name = widget.get("name", "")
        if widget.get("class") == "QComboBox":
            policy = prop(widget, "sizeAdjustPolicy")
            assert policy == "QComboBox::AdjustToMinimumContentsLengthWithIcon", name
        if widget.get("class") == "QLabel" and prop(widget, "wordWrap") == "true":
            sizes = next(widget.iter("sizepolicy"), None)
            assert sizes is not None, name
            assert sizes.get("hsizetype") == "Ignored", name


def test_no_color_is_fixed() -> None:
    """Slicer has a light and a dark style."""
    assert not list(PANEL.iter("color"))
    assert not [w.get("name") for w in PANEL.iter("widget") if prop(w, "styleSheet")]
