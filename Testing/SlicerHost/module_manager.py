"""Modules: the C++ ones by their logic, the scripted ones as Slicer wraps them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.pythonqt.conversion import to_python
from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored
from SlicerHost.widgets.mrml_widgets import qMRMLWidget


class qSlicerAbstractCoreModule(QtCore.QObject):
    """A module: name, texts, logic."""

    name = stored(str, "name", "")
    title = stored(str, "title", "")
    path = stored(str, "path", "")
    categories = stored("QStringList", "categories", [])
    contributors = stored("QStringList", "contributors", [])
    dependencies = stored("QStringList", "dependencies", [])
    associatedNodeTypes = stored("QStringList", "associatedNodeTypes", [])
    helpText = stored(str, "helpText", "")
    acknowledgementText = stored(str, "acknowledgementText", "")
    icon = stored(QtGui.QIcon, "icon", None)
    hidden = stored(bool, "hidden", False)
    index = stored(int, "index", -1)
    widgetRepresentationCreationEnabled = stored(bool, "widgetRepresentationCreationEnabled", True)

    def __init__(self, name: str, parent: QtCore.QObject, logic: Any = None) -> None:
        super().__init__(parent)
        self.setProperty("name", name)
        self.setProperty("title", name)
        self._logic = logic

    @invokable
    def logic(self) -> Any:
        """Give the C++ logic, None for a scripted module."""
        return self._logic

    @invokable
    def mrmlScene(self) -> Any:
        """Give the scene."""
        return slicer.mrmlScene

    @invokable
    def widgetRepresentation(self) -> Any:
        """Give the panel; C++ panels are not in the host."""
        return None


class qSlicerLoadableModule(qSlicerAbstractCoreModule):
    """A C++ module."""


class qSlicerAbstractModuleWidget(qMRMLWidget):
    """The panel of a module."""

    isEntered = QtCore.Property(bool, lambda self: self.entered)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLayout(QtWidgets.QVBoxLayout())
        self.entered = False


class qSlicerScriptedLoadableModuleWidget(qSlicerAbstractModuleWidget):
    """The panel of a scripted module: holds the Python widget object."""

    moduleName = QtCore.Property(str, lambda self: self._module.property("name"))

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        self._python: Any = None

    @invokable
    def self(self) -> Any:
        """Give the Python widget object."""
        return self._python

    @invokable
    def reload(self) -> None:
        """Make the Python widget object anew and set it up."""
        self.create_python_widget()
        self._python.setup()

    def create_python_widget(self) -> None:
        """Instantiate the module's widget class; for the host's own use."""
        name = self._module.property("name")
        self._python = getattr(sys.modules[name], name + "Widget")(to_python(self))
        setattr(slicer.modules, name + "Widget", self._python)

    def change_entered(self, entered: bool) -> None:
        """Call ``enter()`` or ``exit()`` of the Python widget when it has one."""
        if entered == self.entered:
            return
        self.entered = entered
        method = getattr(self._python, "enter" if entered else "exit", None)
        if method is not None:
            method()


class qSlicerScriptedLoadableModule(qSlicerAbstractCoreModule):
    """A scripted module."""

    extensions = stored("QVariantMap", "extensions", {})

    def __init__(self, path: Path, parent: QtCore.QObject) -> None:
        super().__init__(path.stem, parent)
        self.setProperty("path", str(path))
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        self._instance: Any = None

    def load(self) -> ModuleType:
        """Import the file and instantiate the module class; for the host's own use."""
        name, path = self.property("name"), self.property("path")
        folder = str(Path(path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        python = sys.modules.get(name)
        if python is None or Path(python.__file__ or "") != Path(path):
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is not a Python file.")
            python = importlib.util.module_from_spec(spec)
            sys.modules[name] = python
            try:
                spec.loader.exec_module(python)
            except BaseException:
                del sys.modules[name]
                raise
        self._instance = getattr(python, name)(to_python(self))
        setattr(slicer.modules, name + "Instance", self._instance)
        setattr(slicer.modules, name.lower(), to_python(self))
        setup = getattr(self._instance, "setup", None)
        if setup is not None:
            setup()
        self.setProperty("widgetRepresentationCreationEnabled", hasattr(python, name + "Widget"))
        return python

    @invokable
    def widgetRepresentation(self) -> Any:
        """Give the panel, made the first time it is asked for."""
        if not self.property("widgetRepresentationCreationEnabled"):
            return None
        if self._widget is None:
            self._widget = self.make_widget()
        return self._widget

    @invokable
    def createNewWidgetRepresentation(self) -> Any:
        """Make one more panel."""
        return self.make_widget()

    def make_widget(self) -> qSlicerScriptedLoadableModuleWidget:
        """Make a panel in Slicer's order: class, set-up, scene."""
        widget = qSlicerScriptedLoadableModuleWidget(self)
        widget.setObjectName(f"{self.property('name')}ModuleWidget")
        widget.create_python_widget()
        widget.self().setup()
        widget.setMRMLScene(slicer.mrmlScene)
        return widget

    def unload(self) -> None:
        """Clean up and delete the panel and what ``slicer.modules`` holds."""
        if self._widget is not None:
            self._widget.change_entered(False)
        manager: Any = self.parent()
        manager.moduleAboutToBeUnloaded.emit(self.property("name"))
        if self._widget is not None:
            self._widget.hide()
            self._widget.deleteLater()
            self._widget = None
        name = self.property("name")
        self._instance = None
        for attribute in (name + "Widget", name + "Instance", name.lower()):
            vars(slicer.modules).pop(attribute, None)
        sys.modules.pop(name, None)
        self.deleteLater()


class qSlicerModuleFactoryManager(QtCore.QObject):
    """Knows which modules are loaded."""

    @invokable
    def loadedModuleNames(self) -> list[str]:
        """Give the names of the loaded modules."""
        manager: Any = self.parent()
        return manager.modulesNames()

    @invokable
    def isLoaded(self, name: str) -> bool:
        """Tell whether a module is loaded."""
        return name in self.loadedModuleNames()


class qSlicerModuleManager(QtCore.QObject):
    """Finds modules by name."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._modules: dict[str, qSlicerAbstractCoreModule] = {}
        self._factory = qSlicerModuleFactoryManager(self)

    def add(self, module: qSlicerAbstractCoreModule) -> None:
        """Register a module; for the host's own use."""
        self._modules[module.property("name")] = module
        setattr(slicer.modules, module.property("name").lower(), to_python(module))

    def load_scripted(self, path: Path) -> qSlicerScriptedLoadableModule:
        """Load a scripted module from its file; for the host's own use."""
        module = qSlicerScriptedLoadableModule(path, self)
        module.load()
        self._modules[path.stem] = module
        self.moduleLoaded.emit(path.stem)
        return module

    def unload_scripted(self) -> None:
        """Unload every scripted module; for the host's own use."""
        for name, module in list(self._modules.items()):
            if isinstance(module, qSlicerScriptedLoadableModule):
                module.unload()
                del self._modules[name]

    @invokable
    def module(self, name: str) -> Any:
        """Give a module by name, None when there is none."""
        return self._modules.get(name)

    @invokable
    def modulesNames(self) -> list[str]:
        """Give the names of all modules."""
        return list(self._modules)

    @invokable
    def factoryManager(self) -> qSlicerModuleFactoryManager:
        """Give what knows the loaded modules."""
        return self._factory
