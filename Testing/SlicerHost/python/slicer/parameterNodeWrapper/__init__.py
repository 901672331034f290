"""Typed access to a ``vtkMRMLScriptedModuleNode``, and its connection to widgets.

Written anew after Slicer's documentation and behavior; values are stored in the node exactly as
Slicer stores them, so that a scene saved with one opens with the other. Not here: ranges,
``QColor``, ``typing.Any``, own serializers, and the making of widgets from types.
"""

from . import widget_connectors  # noqa: F401  (registers them)
from .annotations import Default, findFirstAnnotation, splitAnnotations, unannotatedType
from .connectors import (
    Decimals,
    GuiConnector,
    SingleStep,
    SlicerPackParameterNamePropertyName,
    createGuiConnector,
    parameterNodeGuiConnector,
)
from .packs import isParameterPack, nestedParameterNames, parameterPack
from .type_formats import getNodeTypes, isNodeOrUnionOfNodes
from .validators import (
    Choice,
    Exclude,
    IsInstance,
    Maximum,
    Minimum,
    NotNone,
    Validator,
    WithinRange,
)
from .wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "GuiConnector",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "SlicerPackParameterNamePropertyName",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "findFirstAnnotation",
    "getNodeTypes",
    "isNodeOrUnionOfNodes",
    "isParameterNodeWrapper",
    "isParameterPack",
    "nestedParameterNames",
    "parameterNodeGuiConnector",
    "parameterNodeWrapper",
    "parameterPack",
    "splitAnnotations",
    "unannotatedType",
]
