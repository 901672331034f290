"""Scripted command-line modules: their XML, their node and the process that runs them."""

from __future__ import annotations

import re
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore

from SlicerHost.module_manager import qSlicerAbstractCoreModule

_TAGS = re.compile(r"<filter-(\w+(?:-\w+)?)>([^<]*)</filter-\w+(?:-\w+)?>\s*")
_NODE_TYPES = {"image", "geometry", "transform", "table"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the XML."""

    name: str
    type: str
    flag: str
    index: int | None
    channel: str
    default: str
    elements: tuple[str, ...] = ()

    @property
    def is_node(self) -> bool:
        """Whether the value is a node, handed over as a file."""
        return self.type in _NODE_TYPES


def read_description(path: Path) -> tuple[str, list[Parameter]]:
    """Give a module's title and its parameters.

    Raises
    ------
    ValueError
        For a parameter with no name, or with neither flag nor index.
    """
    root = ElementTree.parse(path).getroot()
    parameters = []
    for group in root.findall("parameters"):
        for element in group:
            if element.tag in ("label", "description"):
                continue
            name, index = element.findtext("name"), element.findtext("index")
            longflag, flag = element.findtext("longflag"), element.findtext("flag")
            if not name or not (longflag or flag or index):
                raise ValueError(f"{path.name}: a parameter needs a name and a flag or an index.")
            text = f"--{longflag.lstrip('-')}" if longflag else f"-{(flag or '').lstrip('-')}"
            parameters.append(
                Parameter(
                    name,
                    element.tag,
                    text,
                    int(index) if index else None,
                    element.findtext("channel", "input"),
                    element.findtext("default", "") or "",
                    tuple(e.text or "" for e in element.findall("element")),
                )
            )
    return root.findtext("title", path.stem), parameters


class CommandLineModuleNode(slicer.vtkMRMLCommandLineModuleNode):
    """The real node, with parameters kept in Python; its description cannot be set from there."""

    def prepare(self, parameters: list[Parameter]) -> None:
        """Take the parameters and their defaults; for the host's own use."""
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self._given = {p.name: p.default for p in parameters if p.default != ""}
        self._fraction = 0.0
        self._process: QtCore.QProcess | None = None

    def _set(self, name: str, value: str) -> bool:
        if name not in self._parameters:
            raise ValueError(f"There is no parameter {name!r}; there are {list(self._parameters)}.")
        parameter = self._parameters[name]
        if parameter.elements and value not in parameter.elements:
            raise ValueError(f"{name!r} must be one of {parameter.elements}, not {value!r}.")
        self._given[name] = value
        self.Modified()
        return True

    def SetParameterAsString(self, name: str, value: str) -> bool:
        """Set a parameter."""
        return self._set(name, value)

    def SetParameterAsInt(self, name: str, value: int) -> bool:
        """Set a parameter."""
        return self._set(name, str(value))

    def SetParameterAsDouble(self, name: str, value: float) -> bool:
        """Set a parameter."""
        return self._set(name, str(value))

    def SetParameterAsBool(self, name: str, value: bool) -> bool:
        """Set a parameter."""
        return self._set(name, "true" if value else "false")

    def SetParameterAsNode(self, name: str, node: Any) -> bool:
        """Set a parameter to a node."""
        return self._set(name, node.GetID() if node is not None else "")

    def GetParameterAsString(self, name: str) -> str:
        """Give a parameter."""
        return self._given.get(name, "")

    def GetProgress(self) -> int:
        """Give the progress in percent."""
        return round(self._fraction * 100)

    def Cancel(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self.SetStatus(self.Cancelling)
            self._process.kill()


class CommandLineLogic:
    """Runs a module's script, as ``vtkSlicerCLIModuleLogic`` does."""

    def __init__(self, script: Path, parameters: list[Parameter], parent: QtCore.QObject) -> None:
        self._script = script
        self._parameters = parameters
        self._parent = parent
        self._delete_files = True

    def CreateNodeInScene(self) -> CommandLineModuleNode:
        """Make a node with the default parameters."""
        node = CommandLineModuleNode()
        node.prepare(self._parameters)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self._script.stem))
        slicer.mrmlScene.AddNode(node)
        return node

    def SetDeleteTemporaryFiles(self, delete: int) -> None:
        """Say whether the files that carry nodes are deleted."""
        self._delete_files = bool(delete)

    def SetHideWindow(self, hide: int) -> None:
        """There are no console windows here."""

    def Apply(self, node: CommandLineModuleNode, update_display: bool = True) -> None:
        """Start the script and return."""
        run = _Run(self._script, node, self._delete_files, self._parent)
        run.start()

    def ApplyAndWait(self, node: CommandLineModuleNode, update_display: bool = True) -> None:
        """Run the script to its end."""
        run = _Run(self._script, node, self._delete_files, self._parent)
        run.start()
        run.wait()


class _Run(QtCore.QObject):
    """One run: files out, process, progress, files in."""

    def __init__(
        self, script: Path, node: CommandLineModuleNode, delete: bool, parent: QtCore.QObject
    ) -> None:
        super().__init__(parent)
        self._script, self._node, self._delete = script, node, delete
        self._folder = tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath)
        self._output, self._error = "", ""
        self._results: dict[str, str] = {}
        self._process = QtCore.QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)

    def start(self) -> None:
        self._node._process = self._process
        self._node._fraction = 0.0
        self._node.SetErrorText("", False)
        self._node.SetOutputText("", False)
        arguments = [str(self._script), *self._arguments()]
        self._node.SetStatus(self._node.Scheduled)
        self._node.SetStatus(self._node.Running)
        self._process.start(sys.executable, arguments)

    def wait(self) -> None:
        if self._process.state() != QtCore.QProcess.ProcessState.NotRunning:
            loop = QtCore.QEventLoop()
            self._process.finished.connect(lambda *_: loop.quit())
            loop.exec()

    def _arguments(self) -> list[str]:
        flags: list[str] = []
        indexed: dict[int, str] = {}
        for name, parameter in self._node._parameters.items():
            value = self._node._given.get(name, "")
            if parameter.type == "boolean":
                flags += [parameter.flag] if value == "true" else []
                continue
            if value == "":
                continue
            if parameter.is_node:
                value = self._file_for(parameter, value)
            if parameter.index is not None:
                indexed[parameter.index] = value
            else:
                flags += [parameter.flag, value]
        return flags + [indexed[index] for index in sorted(indexed)]

    def _file_for(self, parameter: Parameter, node_id: str) -> str:
        node = slicer.mrmlScene.GetNodeByID(node_id)
        if node is None:
            raise ValueError(f"Parameter {parameter.name!r}: there is no node {node_id!r}.")
        path = str(Path(self._folder.name) / f"{parameter.name}.nrrd")
        if parameter.channel == "output":
            self._results[node_id] = path
            return path
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        storage.SetFileName(path)
        if not storage.WriteData(node):
            raise RuntimeError(f"The node {node.GetName()} could not be written to {path}.")
        return path

    def _read(self) -> None:
        text = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self._output += text
        for tag, value in _TAGS.findall(self._output):
            if tag == "progress":
                self._node._fraction = float(value)
        self._node.SetOutputText(_without_tags(self._output), False)
        self._node.Modified()

    def _finished(self, code: int, status: QtCore.QProcess.ExitStatus) -> None:
        self._read()
        node = self._node
        error = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        crashed = status != QtCore.QProcess.ExitStatus.NormalExit
        cancelled = node.GetStatus() == node.Cancelling
        node._process = None
        if cancelled:
            node.SetStatus(node.Cancelled)
        else:
            node.SetStatus(node.Completing)
            if code == 0 and not crashed:
                self._take_results()
            node.SetErrorText(error, False)
            failed = code != 0 or crashed
            node.SetStatus(node.CompletedWithErrors if failed else node.Completed)
        if self._delete:
            self._folder.cleanup()
        self.deleteLater()

    def _take_results(self) -> None:
        for node_id, path in self._results.items():
            node = slicer.mrmlScene.GetNodeByID(node_id)
            storage = node.CreateDefaultStorageNode()
            storage.UnRegister(None)
            storage.SetFileName(path)
            if not storage.ReadData(node):
                raise RuntimeError(f"The result {path} could not be read into {node.GetName()}.")


def _without_tags(text: str) -> str:
    """Give the output for people; ``filter-start`` is empty once the tags within it are gone."""
    shorter = _TAGS.sub("", text)
    return shorter if shorter == text else _without_tags(shorter)


class qSlicerCLIModule(qSlicerAbstractCoreModule):
    """A command-line module."""


def make_cli_module(xml: Path, parent: Any) -> qSlicerCLIModule:
    """Make the module of an XML file with its script beside it.

    Raises
    ------
    FileNotFoundError
        When the script is missing.
    """
    script = xml.with_suffix(".py")
    if not script.is_file():
        raise FileNotFoundError(f"The command-line module {xml.name} has no script {script}.")
    title, parameters = read_description(xml)
    module = qSlicerCLIModule(xml.stem, parent, CommandLineLogic(script, parameters, parent))
    module.setProperty("title", title)
    module.setProperty("path", str(script))
    return module
