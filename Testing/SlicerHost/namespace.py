"""Fills ``qt``, ``ctk`` and ``slicer`` with what a module may import."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import slicer

from SlicerHost.pythonqt import qt_module
from SlicerHost.pythonqt.wrapper import class_for

_PYTHON = Path(__file__).parent / "python"


def prepare() -> None:
    """Put the modules in place; widgets that need ``slicer`` complete are made afterwards."""
    _remove_leaked_names()
    slicer.__path__.append(str(_PYTHON / "slicer"))
    if str(_PYTHON) not in sys.path:
        sys.path.insert(0, str(_PYTHON))
    sys.modules["qt"] = qt_module.QtModule("qt")
    sys.modules["ctk"] = types.ModuleType("ctk")
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(f"slicer.{name}")
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)


def _remove_leaked_names() -> None:
    """Take ``slicer.util``'s functions out of ``slicer``, where the wheel copies them too."""
    import slicer.util

    for name, value in list(vars(slicer).items()):
        if name.startswith("_") or name == "util":
            continue
        from_util = vars(slicer.util).get(name) is value and not name.startswith("vtk")
        if from_util:
            delattr(slicer, name)


def add_widgets() -> None:
    """Add the stand-in widgets to ``ctk`` and ``slicer`` and to what .ui files may use."""
    from SlicerHost import main_window, module_manager, ui_file
    from SlicerHost.widgets import (
        ctk_checkable_combo_box,
        ctk_numbers,
        ctk_paths,
        ctk_widgets,
        mrml_tables,
        mrml_widgets,
        node_combo_box,
    )

    sources = (
        *(ctk_widgets, ctk_numbers, ctk_paths, ctk_checkable_combo_box),
        *(mrml_widgets, mrml_tables, node_combo_box, module_manager, main_window),
    )
    for source in sources:
        for name, value in vars(source).items():
            if not isinstance(value, type) or value.__module__ != source.__name__:
                continue
            if name.startswith("ctk"):
                setattr(sys.modules["ctk"], name, class_for(value))
                ui_file.register_widget(value)
            elif name.startswith(("qMRML", "qSlicer")):
                setattr(slicer, name, class_for(value))
                ui_file.register_widget(value)
    qt_module.replace_class(ui_file.QUiLoader)


def import_python_parts() -> None:
    """Import the parts of ``slicer`` that are there from the start in Slicer.

    ``slicer.packaging`` is not: a module that uses it has to import it.
    """
    import slicer.cli
    import slicer.i18n
    import slicer.parameterNodeWrapper
    import slicer.ScriptedLoadableModule
    import slicer.testing  # noqa: F401


def remember(name: str, value: Any) -> None:
    """Set an attribute of ``slicer``."""
    setattr(slicer, name, value)
