"""``slicer.app``: what a module asks the application for."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from SlicerHost import settings
from SlicerHost.io_manager import qSlicerCoreIOManager
from SlicerHost.module_manager import qSlicerModuleManager
from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored

VERSION = (5, 13)


class qSlicerCommandOptions(QtCore.QObject):
    """What Slicer was started with."""

    noMainWindow = stored(bool, "noMainWindow", True)
    noSplash = stored(bool, "noSplash", True)
    testingEnabled = stored(bool, "testingEnabled", True)
    runPythonAndExit = stored(bool, "runPythonAndExit", False)
    pythonScript = stored(str, "pythonScript", "")
    additionalModulePaths = stored("QStringList", "additionalModulePaths", [])


class qSlicerApplication(QtWidgets.QApplication):
    """The application object."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    cpp_signals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    slicerHome = stored(str, "slicerHome", "")
    temporaryPath = stored(str, "temporaryPath", "")
    cachePath = stored(str, "cachePath", "")
    defaultScenePath = stored(str, "defaultScenePath", "")
    slicerUserSettingsFilePath = stored(str, "slicerUserSettingsFilePath", "")
    majorVersion = QtCore.Property(int, lambda self: VERSION[0])
    minorVersion = QtCore.Property(int, lambda self: VERSION[1])
    mainApplicationName = QtCore.Property(str, lambda self: "Slicer")
    mainApplicationDisplayName = QtCore.Property(str, lambda self: "3D Slicer")
    documentationBaseUrl = QtCore.Property(
        str, lambda self: "https://slicer.readthedocs.io/en/latest/"
    )
    platform = QtCore.Property(str, lambda self: "linux-amd64")
    os = QtCore.Property(str, lambda self: "linux")
    arch = QtCore.Property(str, lambda self: "amd64")
    revision = QtCore.Property(str, lambda self: "host")
    isInstalled = QtCore.Property(bool, lambda self: False)

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self.setApplicationName("Slicer")
        self.setOrganizationName("slicer.org")
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-host-")
        root = Path(self._folder.name)
        settings.use_folder(root / "settings")
        for name in ("temporaryPath", "cachePath"):
            (root / name).mkdir()
            self.setProperty(name, str(root / name))
        self.setProperty("slicerHome", str(root))
        self._options = qSlicerCommandOptions(self)
        self._modules = qSlicerModuleManager(self)
        self._io = qSlicerCoreIOManager(self)
        self._settings = QtCore.QSettings()
        self._logic: Any = None
        self._startup_environment = dict(os.environ)

    def use_logic(self, logic: Any) -> None:
        """Take the application logic; for the host's own use."""
        self._logic = logic

    def remove_folder(self) -> None:
        """Remove the temporary folder; for the host's own use."""
        self._folder.cleanup()

    @invokable
    def mrmlScene(self) -> Any:
        """Give the scene."""
        return slicer.mrmlScene

    @invokable
    def applicationLogic(self) -> Any:
        """Give the application logic."""
        return self._logic

    @invokable
    def moduleManager(self) -> qSlicerModuleManager:
        """Give the module manager."""
        return self._modules

    @invokable
    def moduleLogic(self, name: str) -> Any:
        """Give a module's C++ logic."""
        module = self._modules.module(name)
        return module.logic() if module is not None else None

    @invokable
    def coreIOManager(self) -> qSlicerCoreIOManager:
        """Give what loads and saves files."""
        return self._io

    @invokable
    def ioManager(self) -> qSlicerCoreIOManager:
        """Give what loads and saves files, with dialogs in Slicer."""
        return self._io

    @invokable
    def commandOptions(self) -> qSlicerCommandOptions:
        """Give the command line's options."""
        return self._options

    @invokable
    def testingEnabled(self) -> bool:
        """Tell whether Slicer was started with ``--testing``."""
        return bool(self._options.property("testingEnabled"))

    @invokable
    def settings(self) -> QtCore.QSettings:
        """Give the settings."""
        return self._settings

    @invokable
    def userSettings(self) -> QtCore.QSettings:
        """Give the user's settings."""
        return self._settings

    @invokable
    def revisionUserSettings(self) -> QtCore.QSettings:
        """Give the settings of this version."""
        return self._settings

    @invokable
    def layoutManager(self) -> None:
        """There are no views in the window, as with ``--no-main-window``."""
        return

    @invokable
    def pythonConsole(self) -> None:
        """There is no console."""
        return

    @invokable
    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """Give the environment Slicer was started in."""
        environment = QtCore.QProcessEnvironment()
        for key, value in self._startup_environment.items():
            environment.insert(key, value)
        return environment

    @invokable
    def environment(self) -> QtCore.QProcessEnvironment:
        """Give Slicer's own environment."""
        return QtCore.QProcessEnvironment.systemEnvironment()

    @invokable
    def moduleDocumentationUrl(self, name: str) -> str:
        """Give the address of a module's documentation."""
        return f"{self.property('documentationBaseUrl')}user_guide/modules/{name.lower()}.html"

    @invokable
    def pauseRender(self) -> None:
        """No views, nothing to pause."""

    @invokable
    def resumeRender(self) -> None:
        """No views, nothing to resume."""

    @invokable
    def setRenderPaused(self, paused: bool) -> None:
        """No views, nothing to pause."""

    @invokable
    def restart(self) -> None:
        """Refuse: a test must not restart itself."""
        raise RuntimeError("A module asked the host to restart Slicer.")

    @invokable
    def logUsageEvent(self, component: str, event: str) -> None:
        """Nothing is reported to anybody."""


def python_slicer() -> str:
    """Give the Python that stands for PythonSlicer: the one that runs the tests."""
    return sys.executable
