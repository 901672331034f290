"""The class decorator that gives typed access to a parameter node."""

from __future__ import annotations

import logging
import typing
from typing import Any

import qt
import slicer
import vtk

from .annotations import Default, findFirstAnnotation, splitAnnotations, splitDottedName
from .connectors import GuiConnector, createGuiConnector
from .formats import Format
from .type_formats import format_for

SlicerParameterNamePropertyName = "SlicerParameterName"


class _Parameter:
    """One parameter; a descriptor that reads and writes the node."""

    def __init__(self, name: str, annotated: Any, default: Default) -> None:
        self.basename = name
        self.unalteredType = annotated
        self.format: Format = format_for(annotated)
        self.default = default

    def __get__(self, wrapper: Any, owner: type | None = None) -> Any:
        if wrapper is None:
            return self
        node, name = wrapper.parameterNode, wrapper._prefix + self.basename
        if not self.format.has(node, name):
            self.format.checked_write(node, name, self.default.value)
        return self.format.read(node, name)

    def __set__(self, wrapper: Any, value: Any) -> None:
        node = wrapper.parameterNode
        with slicer.util.NodeModify(node):
            self.format.checked_write(node, wrapper._prefix + self.basename, value)


class _Wrapper:
    """What every wrapped class gets."""

    allParameters: typing.ClassVar[dict[str, _Parameter]] = {}
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis: dict[int, dict[str, GuiConnector]] = {}
        self._gui_tags: dict[int, int] = {}
        self._next_tag = 0
        self._updating_gui = False
        for name, parameter in self.allParameters.items():
            if not parameter.format.has(parameterNode, self._prefix + name):
                setattr(self, name, parameter.default.value)

    @classmethod
    def _parameter(cls, name: str) -> _Parameter:
        top, _ = splitDottedName(name)
        if top not in cls.allParameters:
            known = ", ".join(cls.allParameters)
            raise ValueError(f"Cannot find a param with the given name: {top} (there are {known})")
        return cls.allParameters[top]

    def default(self, name: str) -> Default:
        """Give a parameter's default."""
        return self._parameter(name).default

    @classmethod
    def dataType(cls, name: str) -> Any:
        """Give a parameter's type with its annotations."""
        annotated = cls._parameter(name).unalteredType
        _, rest = splitDottedName(name)
        return annotated if rest is None else splitAnnotations(annotated)[0].dataType(rest)

    def isCached(self, name: str) -> bool:
        """Slicer caches every type that is here; the host reads the node each time."""
        self._parameter(name)
        return True

    def getValue(self, name: str) -> Any:
        """Give a parameter by its name, dotted into packs."""
        top, rest = splitDottedName(name)
        self._parameter(name)
        value = getattr(self, top)
        return value if rest is None else value.getValue(rest)

    def setValue(self, name: str, value: Any) -> None:
        """Set a parameter by its name, dotted into packs."""
        top, rest = splitDottedName(name)
        self._parameter(name)
        if rest is None:
            setattr(self, top, value)
        else:
            getattr(self, top).setValue(rest, value)

    def connectGui(self, gui: Any) -> int:
        """Connect every widget that has the property ``SlicerParameterName``."""
        if getattr(gui, "isWidgetType", lambda: False)():
            widgets = gui.findChildren(qt.QWidget)
        else:
            widgets = gui.__dict__.values()
        named = {}
        for widget in widgets:
            name = widget.property(SlicerParameterNamePropertyName)
            if name:
                named[name] = widget
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Connect parameters to widgets; gives a tag for `disconnectGui`."""
        connectors = {}
        for name, widget in mapping.items():
            made = isinstance(widget, GuiConnector)
            connectors[name] = widget if made else createGuiConnector(widget, self.dataType(name))
        tag = self._next_tag
        self._next_tag += 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._on_gui_changed(name, connector))
        self._gui_tags[tag] = self.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._update_gui()
        )
        return tag

    def _on_gui_changed(self, name: str, connector: GuiConnector) -> Any:
        def changed() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating_gui:
                    self.setValue(name, connector.read())

        return changed

    def _update_gui(self) -> None:
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._guis.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating_gui = False

    def disconnectGui(self, tag: int) -> None:
        """Undo a connection."""
        for connector in self._guis.pop(tag, {}).values():
            connector.onChanged(None)
        if tag in self._gui_tags:
            self.RemoveObserver(self._gui_tags.pop(tag))

    def StartModify(self) -> int:
        """Hold back the node's events."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying: int) -> None:
        """Send the node's events."""
        self.parameterNode.EndModify(wasModifying)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Stop observing the node."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        """Tell the node's observers that it changed."""
        self.parameterNode.Modified()


_RESERVED = [name for name in vars(_Wrapper) if not name.startswith("_")]


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Make a class of typed members into a wrapper of a parameter node."""
    return _wrap if classtype is None else _wrap(classtype)


def _wrap(cls: type) -> type:
    for name in _RESERVED:
        if hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    parameters: dict[str, _Parameter] = {}
    for name, annotated in typing.get_type_hints(cls, include_extras=True).items():
        if name in _RESERVED:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        _, annotations = splitAnnotations(annotated)
        given = findFirstAnnotation(annotations, Default)
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        else:
            default = given or Default(generator=format_for(annotated).default)
        parameters[name] = _Parameter(name, annotated, default)
        setattr(cls, name, parameters[name])
    for name, value in vars(_Wrapper).items():
        if not name.startswith("__") or name == "__init__":
            setattr(cls, name, value)
    cls.allParameters = parameters  # type: ignore[attr-defined]
    logging.debug("%s has %d parameters", cls.__name__, len(parameters))
    return cls


def isParameterNodeWrapper(obj: Any) -> bool:
    """Tell whether a class or object wraps a parameter node."""
    return bool(getattr(obj, "_is_parameter_node_wrapper", False))


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """Give the child widget connected to a parameter, or None."""
    for child in widget.findChildren(qt.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
