"""CTK widgets that hold a path."""

from __future__ import annotations

import enum

from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt import modals
from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows and chooses a folder."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(
        self, directory: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None
    ):
        if not isinstance(directory, str):
            directory, parent = "", directory
        super().__init__(parent)
        self._button = QtWidgets.QPushButton(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._directory = QtCore.QDir(directory)
        self._button.clicked.connect(self.browse)
        self._refresh()

    def _refresh(self) -> None:
        self._button.setText(self.property("text") or self._directory.path())

    def _set_directory(self, path: str) -> None:
        new = QtCore.QDir(path)
        if new != self._directory:
            self._directory.setPath(new.absolutePath())
            self._refresh()
            self.directorySelected.emit(new.path())
            self.directoryChanged.emit(self._directory.path())
        else:
            self.directorySelected.emit(new.path())

    @invokable
    def browse(self) -> str:
        """Ask for a folder."""
        chosen = modals.intercept(
            QtWidgets.QFileDialog, "getExistingDirectory", self.browse, [self.property("caption")]
        )
        if chosen:
            self._set_directory(chosen)
        return chosen or ""

    directory = QtCore.Property(
        str, lambda s: s._directory.path(), _set_directory, notify=directoryChanged
    )
    caption = stored(str, "caption", "")
    text = stored(str, "text", "", then="_on_text")

    def _on_text(self, _: str) -> None:
        self._refresh()


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path, with a browse button and a history."""

    validInputChanged = QtCore.Signal(bool)
    currentPathChanged = QtCore.Signal(str)

    class Filter(enum.IntFlag):
        """What kind of path is looked for."""

        Dirs = 0x001
        Files = 0x002
        Drives = 0x004
        NoSymLinks = 0x008
        AllEntries = 0x007
        Readable = 0x010
        Writable = 0x020
        Executable = 0x040
        Hidden = 0x100
        System = 0x200
        AllDirs = 0x400
        CaseSensitive = 0x800
        NoDotAndDotDot = 0x1000
        NoDot = 0x2000
        NoDotDot = 0x4000

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._browse)
        self._combo.editTextChanged.connect(self.currentPathChanged)
        self._browse.clicked.connect(self.browse)

    @invokable
    def comboBox(self) -> QtWidgets.QComboBox:
        """Give the box that holds the history."""
        return self._combo

    @invokable
    def setCurrentPath(self, path: str) -> None:
        """Set the path."""
        if path != self._combo.currentText():
            self._combo.setEditText(path)

    @invokable
    def browse(self) -> None:
        """Ask for a file or a folder."""
        folders = bool(self.property("filters") & 1) and not self.property("filters") & 2
        name = "getExistingDirectory" if folders else "getOpenFileName"
        chosen = modals.intercept(
            QtWidgets.QFileDialog, name, self.browse, [self.property("label")]
        )
        if isinstance(chosen, (list, tuple)):
            chosen = chosen[0] if chosen else ""
        if chosen:
            self.setCurrentPath(chosen)

    @invokable
    def addCurrentPathToHistory(self) -> None:
        """Keep the path for the next time."""
        path = self._combo.currentText()
        if path and self._combo.findText(path) < 0:
            self._combo.insertItem(0, path)
            self._combo.setEditText(path)

    @invokable
    def retrieveHistory(self) -> None:
        """The history lives only as long as the host."""

    currentPath = QtCore.Property(str, lambda s: s._combo.currentText(), setCurrentPath)
    filters = stored(int, "filters", 0x7)
    label = stored(str, "label", "")
    settingKey = stored(str, "settingKey", "")
    nameFilters = stored("QStringList", "nameFilters", [])
    showBrowseButton = stored(bool, "showBrowseButton", True)
    showHistoryButton = stored(bool, "showHistoryButton", True)
