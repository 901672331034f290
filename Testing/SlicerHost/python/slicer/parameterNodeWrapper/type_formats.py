"""The format that belongs to a type."""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Any

import slicer

from .annotations import splitAnnotations, unannotatedType
from .container_formats import DictFormat, SequenceFormat, TupleFormat, UnionFormat
from .formats import BoolFormat, EnumFormat, Format, NodeFormat, NoneFormat
from .validators import IsInstance, IsNone, NotNone, Validator

_PATHS = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


def format_for(annotated: Any) -> Format:
    """Give the format of a possibly annotated type.

    Raises
    ------
    TypeError
        For a type that a parameter node cannot keep.
    """
    plain, annotations = splitAnnotations(annotated)
    made = _plain_format(plain)
    own = tuple(a() if isinstance(a, type) else a for a in annotations if _is_validator(a))
    made.validators = (*made.validators, *own)
    return made


def _is_validator(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, Validator)
    return isinstance(annotation, Validator)


def _with(made: Format, *validators: Validator) -> Format:
    made.validators = validators
    return made


def _plain_format(plain: Any) -> Format:
    from .packs import PackFormat, isParameterPack

    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    if plain is int:
        return _with(Format(int), NotNone(), IsInstance(int))
    if plain is float:
        return _with(Format(float), NotNone(), IsInstance((int, float)))
    if plain is str:
        return _with(Format(str), NotNone(), IsInstance(str))
    if plain is bool:
        return _with(BoolFormat(bool), NotNone(), IsInstance(bool))
    if plain in _PATHS:
        return _with(Format(plain), NotNone(), IsInstance(plain))
    if plain is type(None):
        return _with(NoneFormat(bool), IsNone())
    if origin is list and len(arguments) == 1:
        return SequenceFormat(format_for(arguments[0]))
    if origin is tuple and arguments:
        return TupleFormat([format_for(argument) for argument in arguments])
    if origin is dict and len(arguments) == 2:
        return DictFormat(TupleFormat([format_for(argument) for argument in arguments]))
    if origin is typing.Union:
        return UnionFormat([format_for(argument) for argument in arguments])
    if isParameterPack(plain):
        return _with(PackFormat(plain), NotNone(), IsInstance(plain))
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return _with(EnumFormat(plain), NotNone(), IsInstance(plain))
    if isinstance(plain, type) and issubclass(plain, slicer.vtkMRMLNode):
        return _with(NodeFormat(plain), IsInstance(plain))
    raise TypeError(f"A parameter node cannot keep values of type {plain}.")


def isNodeOrUnionOfNodes(annotated: Any) -> bool:
    """Tell whether a type is a node class or a union of some, with or without None."""
    plain = unannotatedType(annotated)
    members = typing.get_args(plain) if typing.get_origin(plain) is typing.Union else (plain,)
    return all(
        isinstance(one, type) and (one is type(None) or issubclass(one, slicer.vtkMRMLNode))
        for one in map(unannotatedType, members)
    )


def getNodeTypes(annotated: Any) -> tuple[str, ...]:
    """Give the class names of a node type or a union of node types."""
    plain = unannotatedType(annotated)
    members = typing.get_args(plain) if typing.get_origin(plain) is typing.Union else (plain,)
    return tuple(one.__name__ for one in map(unannotatedType, members) if one is not type(None))
