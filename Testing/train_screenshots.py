"""Render the panel of FlareTrain in its states, good and bad, to PNG files to be looked at.

Usage: python Testing/train_screenshots.py FOLDER [--dark]

The panel is the real one in the host of the tests; datasets and runs are made as processes leave
them (`train_states.py`), so that every state is reached in seconds. The pictures of the README are
of a real run: `tutorial.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from picture_stage import ROOT, save_picture, shown_path, stage

WIDTH, HEIGHT = 500, 940
SECTIONS = ("dataset", "refinement", "training", "result")
LONG = "Universitätsklinikum_Abdomen_CT_portalvenös_2023-11-04_Serie_003_Schichtdicke_1.25"


class Studio:
    """The panel on a stage."""

    def __init__(self, host: Any, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.module = host.load_module(ROOT / "FlareTrain/FlareTrain.py")
        self.panel = self.module.enter()
        self.pictures: list[Path] = []

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        self.host.process_events(until=lambda: not self.panel.busy, timeout=300)

    def choose(self, data: Path) -> None:
        """Choose a dataset."""
        self.panel.ui.dataPathLineEdit.currentPath = str(data)
        self.panel.refreshAll()
        self.settle()

    def picture(self, name: str, section: str) -> None:
        """Save the panel with one section open."""
        for other in SECTIONS:
            button = getattr(self.panel.ui, f"{other}CollapsibleButton")
            button.collapsed = other != section
        self.panel.refreshTasks()
        self.settle()
        path = self.folder / f"{name}.png"
        self.pictures.append(save_picture(self.host, self.module, path, (WIDTH, HEIGHT)))


def show_datasets(studio: Studio, place: Path) -> None:
    """Datasets, from none to one that is gone."""
    import train_states as states

    studio.picture("1_nothing_chosen", "dataset")
    data = states.many_cases(place / "problems", ["patient_1", "patient_2", "patient_3"], 1)
    found = (
        "The scan has 6 slices only: nothing can be learned from it.",
        "The label map is empty although the liver is said to be annotated.",
    )
    states.checked(data, {"patient_2": found})
    studio.choose(data)
    studio.panel.ui.caseTable.setCurrentCell(1, 0)
    studio.picture("2_dataset_with_problems", "dataset")
    names = [f"patient_{n:03d}" for n in range(500)]
    studio.choose(states.many_cases(place / "large", names, 100))
    studio.picture("3_500_cases", "dataset")
    many = states.many_cases(place / f"肝臓 {LONG}", [f"{LONG}_{n}" for n in range(3)], 1)
    states.a_run(many, "stopped", name=f"Versuch mit {LONG} und kleiner Lernrate")
    studio.choose(many)
    studio.picture("4_long_names", "dataset")
    studio.picture("5_long_names_training", "training")
    many.rename(place / "moved")
    studio.panel.refreshTasks()
    studio.settle()
    studio.picture("6_dataset_gone", "dataset")
    (place / "empty").mkdir()
    studio.choose(place / "empty")
    studio.picture("7_no_dataset", "dataset")


def show_runs(studio: Studio, place: Path) -> None:
    """Runs, alive and dead."""
    import time

    import train_states as states

    data = states.many_cases(place / "livers", ["patient_1", "patient_2", "patient_3"], 1)
    states.a_run(data, "failed", "The disk is full. Make room, then click Resume.", "full disk")
    studio.choose(data)
    studio.picture("8_run_failed", "training")
    states.died(states.a_run(data, "stopped", name="died"))
    studio.choose(data)
    _choose_run(studio, "died")
    studio.picture("9_run_died", "training")
    packing = states.a_run(data, "stopped", name="packing", minutes=10)
    states.alive(packing, kind="packing", done=3, of=6)
    studio.choose(data)
    _choose_run(studio, "packing")
    studio.picture("10_run_packing", "training")
    training = states.a_run(data, "stopped", name="training", minutes=10)
    ends = time.time() + 240
    states.alive(training, kind="training", fit="network/fit", minutes=10, ends=ends)
    studio.choose(data)
    _choose_run(studio, "training")
    studio.picture("11_two_runs", "training")


def show_results(studio: Studio, place: Path) -> None:
    """Results, from none to worse."""
    import train_states as states

    data = states.many_cases(place / "results", ["patient_1", "patient_2", "patient_3"], 1)
    for name, ours, bundled, newest in (
        ("worse", 0.512, 0.831, -1.0),
        ("better", 0.871, 0.831, -1.0),
        ("best before", 0.871, 0.831, 0.812),
    ):
        states.scored(states.a_run(data, "finished", name=name), ours, bundled, newest=newest)
        studio.choose(data)
        _choose_run(studio, name)
        studio.picture(f"12_result_{name.replace(' ', '_')}", "result")
    states.a_run(data, "stopped", name="no model")
    studio.choose(data)
    _choose_run(studio, "no model")
    studio.picture("13_no_model", "result")


def _choose_run(studio: Studio, name: str) -> None:
    combo = studio.panel.ui.runComboBox
    folder = studio.panel.data() / "runs" / name
    combo.setCurrentIndex(combo.findData(str(folder)))
    studio.settle()


def _darken() -> None:
    """Give the application the colors of Slicer's dark style."""
    from PySide6 import QtGui, QtWidgets

    role = QtGui.QPalette.ColorRole
    colors = {
        role.Window: (50, 50, 50),
        role.WindowText: (225, 225, 225),
        role.Base: (27, 27, 27),
        role.AlternateBase: (38, 38, 38),
        role.Text: (225, 225, 225),
        role.Button: (50, 50, 50),
        role.ButtonText: (225, 225, 225),
        role.ToolTipBase: (27, 27, 27),
        role.ToolTipText: (225, 225, 225),
        role.Highlight: (0, 89, 166),
        role.HighlightedText: (255, 255, 255),
        role.PlaceholderText: (150, 150, 150),
    }
    palette = QtGui.QPalette()
    for which, color in colors.items():
        palette.setColor(which, QtGui.QColor(*color))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, which, QtGui.QColor(120, 120, 120))
    QtWidgets.QApplication.setPalette(palette)


def main() -> int:
    """Write the pictures and name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dark", action="store_true", help="in Slicer's dark style")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with stage() as (host, home):
        if options.dark:
            _darken()
        host.main_window()
        studio = Studio(host, folder)
        try:
            for show in (show_datasets, show_runs, show_results):
                show(studio, home)
        finally:
            studio.panel.cleanup()
    for path in studio.pictures:
        print(shown_path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
