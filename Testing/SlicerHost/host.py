"""The host: one application, one scene, modules loaded on request, everything taken down."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import shiboken6
import slicer
from PySide6 import QtCore, QtWidgets

from SlicerHost import namespace, scene
from SlicerHost.pythonqt import modals, signals, timers, wrapper
from SlicerHost.pythonqt.conversion import to_python

_log = logging.getLogger(__name__)


class LeakError(AssertionError):
    """Something of a test is left over."""


class LoadedModule:
    """A scripted module in the host."""

    def __init__(self, host: Host, native: Any, python: ModuleType) -> None:
        self._host = host
        self._native = native
        self.python = python
        self.name: str = native.property("name")

    def widget(self) -> Any:
        """Give the module's widget object, made and set up the first time."""
        return self._native.widgetRepresentation().self()

    def panel(self) -> Any:
        """Give the panel as a qt widget, for pictures."""
        return to_python(self._native.widgetRepresentation())

    def enter(self) -> Any:
        """Show the module in the main window; gives its widget object."""
        self._host.main_window()
        slicer.util.selectModule(self.name)
        return self.widget()


class Host:
    """The application for tests; get it from `SlicerHost.start`."""

    def __init__(self) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        namespace.prepare()
        from SlicerHost.application import qSlicerApplication

        self._app = qSlicerApplication()
        self._app.setQuitOnLastWindowClosed(False)
        home = self._app.property("slicerHome")
        self.scene, logic, self._logics = scene.make_scene(
            home, self._app.property("temporaryPath")
        )
        self._app.use_logic(logic)
        slicer.app = to_python(self._app)
        slicer.mrmlScene = self.scene
        namespace.add_widgets()
        namespace.import_python_parts()
        from SlicerHost.module_manager import qSlicerLoadableModule

        manager = self._app.moduleManager()
        for name in scene.LOGICS:
            module_logic = self._logics[name]
            manager.add(qSlicerLoadableModule(name, manager, module_logic))
        self._hierarchy = scene.SubjectHierarchyItems(self.scene)
        self._window: Any = None
        self._native_window: Any = None
        self._started = False
        self._fresh_nodes = self._node_names()
        self._fresh_observers = self._observer_count()

    # --- the application ---

    @property
    def testing_enabled(self) -> bool:
        """Whether ``slicer.app.testingEnabled()``, as with ``Slicer --testing``."""
        return self._app.testingEnabled()

    @testing_enabled.setter
    def testing_enabled(self, enabled: bool) -> None:
        self._app.commandOptions().setProperty("testingEnabled", enabled)

    def main_window(self) -> Any:
        """Make a main window (without views); gives it as a qt widget."""
        if self._native_window is None:
            from SlicerHost.main_window import qSlicerMainWindow

            self._native_window = qSlicerMainWindow(self._app)
            self._native_window.show()
            self._app.commandOptions().setProperty("noMainWindow", False)
        return to_python(self._native_window)

    def process_events(self, until: Callable[[], Any] | None = None, timeout: float = 10.0) -> None:
        """Run the event loop, once or until a condition holds.

        Raises
        ------
        TimeoutError
            When the condition does not come true within ``timeout`` seconds.
        """
        if until is None:
            self._app.processEvents()
            return
        end = time.monotonic() + timeout
        while not until():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The condition did not come true within {timeout} s.")
            loop = QtCore.QEventLoop()
            QtCore.QTimer.singleShot(max(1, min(20, int(left * 1000))), loop.quit)
            loop.exec()

    def answer_next_dialog(self, answer: Any) -> None:
        """Queue the answer to the next modal dialog: a button's text, a number or a callable."""
        modals.answer_next(answer)

    @property
    def dialogs_shown(self) -> list[str]:
        """Texts of the modal dialogs that were shown."""
        return modals.shown

    @property
    def slot_errors(self) -> list[str]:
        """Tracebacks of exceptions in functions called by signals; Slicer prints those."""
        return signals.slot_errors

    # --- modules ---

    def load_module(self, path: Path) -> LoadedModule:
        """Load a scripted module from its file, as ``--additional-module-paths`` would.

        ``startupCompleted`` is emitted after each load, once per module's own connection.
        """
        manager = self._app.moduleManager()
        name = Path(path).stem
        native = manager.module(name)
        if native is None:
            native = manager.load_scripted(Path(path).resolve())
            self._app.startupCompleted.emit()
            signals.forget(self._app, "startupCompleted()")
        import sys

        return LoadedModule(self, native, sys.modules[name])

    def load_cli(self, xml: Path) -> Any:
        """Register a scripted command-line module (``X.xml`` beside ``X.py``)."""
        from SlicerHost.cli_module import make_cli_module

        module = make_cli_module(Path(xml).resolve(), self._app.moduleManager())
        self._app.moduleManager().add(module)
        return to_python(module)

    # --- taking down ---

    def _node_names(self) -> set[str]:
        nodes = [self.scene.GetNthNode(i) for i in range(self.scene.GetNumberOfNodes())]
        return {f"{node.GetClassName()} {node.GetName()}" for node in nodes}

    def _observer_count(self) -> int:
        count = 0
        for event in ("NodeAddedEvent", "NodeRemovedEvent", "StartCloseEvent", "EndCloseEvent"):
            count += bool(self.scene.HasObserver(getattr(slicer.vtkMRMLScene, event)))
        return count

    def clear_scene(self) -> None:
        """Close the scene as File > Close Scene does."""
        self.scene.Clear(False)

    def finish_test(self) -> list[str]:
        """Unload modules, close windows and the scene; gives what was left over.

        Returns
        -------
        list of str
            A sentence per running process, repeating timer, failed slot, unused answer.
        """
        left = []
        if self._native_window is not None:
            self._native_window.leave()
        self._app.moduleManager().unload_scripted()
        if self._native_window is not None:
            self._native_window.deleteLater()
            self._native_window = None
            self._app.commandOptions().setProperty("noMainWindow", True)
        while QtWidgets.QApplication.overrideCursor() is not None:
            QtWidgets.QApplication.restoreOverrideCursor()
            left.append("An override cursor was not restored.")
        timers.drop_single_shots()
        self.clear_scene()
        self._delete_later()
        left += _running_things()
        left += [f"A function called by a signal failed:\n{text}" for text in signals.slot_errors]
        if modals.unanswered():
            left.append(f"{modals.unanswered()} queued dialog answers were not used.")
        signals.slot_errors.clear()
        modals.reset()
        left += self._remove_singletons()
        self.testing_enabled = True
        return left

    def _remove_singletons(self) -> list[str]:
        """Remove the parameter nodes a closed scene keeps; anything else is a leak."""
        left = []
        nodes = [self.scene.GetNthNode(i) for i in range(self.scene.GetNumberOfNodes())]
        for node in nodes:
            if f"{node.GetClassName()} {node.GetName()}" in self._fresh_nodes:
                continue
            if node.GetSingletonTag() is None:
                left.append(f"The closed scene still holds {node.GetClassName()} {node.GetName()}.")
            self.scene.RemoveNode(node)
        return left

    def _delete_later(self) -> None:
        for _ in range(3):
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
            self._app.processEvents()


def _running_things() -> list[str]:
    left = []
    for timer in wrapper.living_objects(QtCore.QTimer):
        if timer.isActive() and not timer.isSingleShot():
            left.append(f"A timer of {timer.interval()} ms is still running.")
            timer.stop()
    for process in wrapper.living_objects(QtCore.QProcess):
        if process.state() != QtCore.QProcess.ProcessState.NotRunning:
            left.append(f"A process is still running: {process.program()}.")
            process.kill()
            process.waitForFinished(2000)
    return left


def is_valid(native: Any) -> bool:
    """Tell whether a PySide object still has its C++ side."""
    return shiboken6.isValid(native)
