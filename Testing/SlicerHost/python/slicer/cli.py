"""Running command-line modules: ``slicer.cli.run`` and ``runSync``."""

from __future__ import annotations

from typing import Any

import slicer


def createNode(cliModule: Any, parameters: dict[str, Any] | None = None) -> Any:
    """Make a command-line module node in the scene."""
    if not cliModule:
        return None
    node = cliModule.logic().CreateNodeInScene()
    setNodeParameters(node, parameters)
    return node


def setNodeParameters(node: Any, parameters: dict[str, Any] | None) -> None:
    """Set a node's parameters; lists become comma-separated text."""
    for key, value in (parameters or {}).items():
        if isinstance(value, str):
            node.SetParameterAsString(key, value)
        elif isinstance(value, bool):
            node.SetParameterAsBool(key, value)
        elif isinstance(value, int):
            node.SetParameterAsInt(key, value)
        elif isinstance(value, float):
            node.SetParameterAsDouble(key, value)
        elif isinstance(value, slicer.vtkMRMLNode):
            node.SetParameterAsNode(key, value)
        elif isinstance(value, (list, tuple)):
            node.SetParameterAsString(key, str(list(value))[1:-1])
        else:
            # Slicer prints a line and goes on without the parameter.
            raise TypeError(f"Parameter {key!r} has unsupported type {type(value).__name__}.")


def runSync(
    module: Any,
    node: Any = None,
    parameters: dict[str, Any] | None = None,
    delete_temporary_files: bool = True,
    update_display: bool = True,
    hide_window: bool = True,
) -> Any:
    """Run a command-line module and wait for its end."""
    return run(
        module,
        node=node,
        parameters=parameters,
        wait_for_completion=True,
        delete_temporary_files=delete_temporary_files,
        update_display=update_display,
        hide_window=hide_window,
    )


def run(
    module: Any,
    node: Any = None,
    parameters: dict[str, Any] | None = None,
    wait_for_completion: bool = False,
    delete_temporary_files: bool = True,
    update_display: bool = True,
    hide_window: bool = True,
) -> Any:
    """Run a command-line module; gives its node."""
    if node:
        setNodeParameters(node, parameters)
    else:
        node = createNode(module, parameters)
    logic = module.logic()
    logic.SetDeleteTemporaryFiles(1 if delete_temporary_files else 0)
    logic.SetHideWindow(1 if hide_window else 0)
    if wait_for_completion:
        logic.ApplyAndWait(node, update_display)
    else:
        logic.Apply(node, update_display)
    return node
