"""A main window for tests and pictures: module panel, selector, status bar."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt.members import invokable


class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    """Chooses the module whose panel is shown."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, window: qSlicerMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._name = ""

    selectedModule = QtCore.Property(str, lambda self: self._name)

    @invokable
    def selectModule(self, name: str) -> None:
        """Leave the present module and enter another."""
        if name == self._name:
            return
        self._name = name
        self._window.show_module(name)
        self.moduleSelected.emit(name)


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """The main window, without views."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._app = app
        self._panel: Any = None
        self._area = QtWidgets.QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._selector = qSlicerModuleSelectorToolBar(self)
        self.setCentralWidget(self._area)
        self.resize(520, 900)

    @invokable
    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        """Give the module selector."""
        return self._selector

    def show_module(self, name: str) -> None:
        """Put a module's panel into the window; for the host's own use."""
        module = self._app.moduleManager().module(name)
        if module is None:
            raise RuntimeError(f"There is no module {name!r} to select.")
        panel = module.widgetRepresentation()
        self.leave()
        self._panel = panel
        if panel is not None:
            panel.setMRMLScene(slicer.mrmlScene)
            self._area.setWidget(panel)
            panel.show()
            panel.change_entered(True)

    def leave(self) -> None:
        """Exit the module shown and give its panel back."""
        if self._panel is not None:
            self._panel.change_entered(False)
            self._area.takeWidget()
            self._panel = None
