"""Which part may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SLICER_ONLY = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "mrml", "PythonQt"}
SLICER_SIDE = ("FlareSegment/FlareSegmentSlicer", "FlareTrain/FlareTrainSlicer")
"""Packages of the module files, which are thin; the second one need not exist."""
ENGINE = {"torch", "numpy", "scipy", "SimpleITK", "PIL"}
MODULE_FILE = {"numpy", "vtk", "slicer", "SimpleITK", "scipy", "qt", "ctk"}
"""What Slicer itself ships: torch is installed only after the user agreed."""


def _imports(node: ast.AST) -> Iterator[str]:
    """Names of the top-level packages imported by one statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.split(".")[0]
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.split(".")[0]


def _anywhere(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in _imports(node)}


def _at_import(path: Path) -> set[str]:
    """Packages imported when the file is: everything outside functions and type checking."""

    def walk(statements: list[ast.stmt]) -> Iterator[str]:
        for node in statements:
            yield from _imports(node)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
                for field in ("body", "orelse", "finalbody"):
                    yield from walk(getattr(node, field, []))
                for handler in getattr(node, "handlers", []):
                    yield from walk(handler.body)

    return set(walk(ast.parse(path.read_text(encoding="utf-8")).body))


def _python_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    assert files, f"no Python file in {folder}"
    return files


def _foreign(names: set[str], allowed: set[str]) -> set[str]:
    return names - allowed - set(sys.stdlib_module_names) - {"__future__"}


def _module_files(repository: Path) -> list[Path]:
    files = [*repository.glob("Flare*/Flare*.py"), *repository.glob("Flare*/*CLI/*.py")]
    assert files
    return files


@pytest.mark.parametrize("lib", ["FlareSegment/FlareSegmentLib", "FlareTrain/FlareTrainLib"])
def test_engine_never_imports_slicer(repository: Path, lib: str) -> None:
    """Neither Slicer itself nor our own packages that need it."""
    packages = {Path(folder).name for folder in SLICER_SIDE}
    found = {
        str(path.relative_to(repository)): names
        for path in _python_files(repository / lib)
        if (names := _anywhere(path) & (SLICER_ONLY | packages))
    }
    assert not found


def test_segmentation_imports_only_its_own_dependencies(repository: Path) -> None:
    """In particular never FlareTrainLib: dependencies point one way."""
    lib = repository / "FlareSegment" / "FlareSegmentLib"
    found = {
        str(path.relative_to(repository)): names
        for path in _python_files(lib)
        if (names := _foreign(_anywhere(path), ENGINE | {"FlareSegmentLib"}))
    }
    assert not found


def test_training_imports_only_what_is_listed(repository: Path) -> None:
    lib = repository / "FlareTrain" / "FlareTrainLib"
    optional = {"distributed", "monai", "onnxruntime"}
    allowed = ENGINE | {"FlareSegmentLib", "FlareTrainLib"} | optional
    for path in _python_files(lib):
        assert not _foreign(_anywhere(path), allowed), path
        assert not _at_import(path) & optional, f"{path} needs an optional package when imported"


def test_only_the_preview_needs_pillow(repository: Path) -> None:
    lib = repository / "FlareSegment" / "FlareSegmentLib"
    users = {path.name for path in _python_files(lib) if "PIL" in _anywhere(path)}
    assert users <= {"preview.py"}


def _slicer_side(repository: Path) -> list[Path]:
    """The module files and the packages behind them."""
    folders = [repository / name for name in SLICER_SIDE if (repository / name).is_dir()]
    assert folders
    return [*_module_files(repository), *(p for folder in folders for p in _python_files(folder))]


def test_slicer_side_imports_only_what_slicer_ships(repository: Path) -> None:
    """When a file is imported: torch may have to be installed first, the rest slows the start."""

    def ours(path: Path) -> set[str]:
        # Segmentation never needs training.
        own = {"FlareTrainLib", "FlareTrainSlicer"} if _is_training(path, repository) else set()
        return own | {"FlareSegmentLib", "FlareSegmentSlicer"}

    found = {
        str(path.relative_to(repository)): names
        for path in _slicer_side(repository)
        if (names := _foreign(_at_import(path), MODULE_FILE | ours(path)))
    }
    assert not found


def _is_training(path: Path, repository: Path) -> bool:
    return path.is_relative_to(repository / "FlareTrain")


def test_segmentation_never_needs_training(repository: Path) -> None:
    """Not even within a function."""
    training = {"FlareTrain", "FlareTrainLib", "FlareTrainSlicer"}
    for path in _slicer_side(repository):
        if not _is_training(path, repository):
            assert not _anywhere(path) & training, path


def test_package_of_segmentation_does_not_import_its_module_file(repository: Path) -> None:
    """The module file imports the package; the other way round would be a circle."""
    for path in _python_files(repository / "FlareSegment/FlareSegmentSlicer"):
        assert "FlareSegment" not in _anywhere(path), path


def test_training_needs_only_the_shared_part_of_segmentation(repository: Path) -> None:
    """What else is in FlareSegmentSlicer belongs to FlareSegment's panel and may change with it."""
    for path in _slicer_side(repository):
        if not _is_training(path, repository):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "FlareSegmentSlicer"
            ):
                assert (node.module or "").startswith("FlareSegmentSlicer.shared"), path
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not any(name.startswith("FlareSegmentSlicer") for name in names), path


def test_shared_part_needs_nothing_of_either_module(repository: Path) -> None:
    shared = repository / "FlareSegment/FlareSegmentSlicer/shared"
    for path in _python_files(shared):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, f"{path} imports from outside of the shared part"


def test_slicer_side_contains_no_tensor_code(repository: Path) -> None:
    for path in _slicer_side(repository):
        assert not _anywhere(path) & {"torch", "monai"}, path


ALLOWED_STATEMENTS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)


def test_nothing_runs_at_import(repository: Path) -> None:
    """File scope holds definitions only; ``if __name__`` and type checking are no exceptions."""
    files = [
        *_python_files(repository / "FlareSegment"),
        *_python_files(repository / "FlareTrain"),
    ]
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue  # a docstring
            if isinstance(node, ast.If) and ast.unparse(node.test) in (
                "TYPE_CHECKING",
                "__name__ == '__main__'",
            ):
                continue
            if isinstance(node, ast.Try) and all(
                isinstance(inner, ast.Import | ast.ImportFrom) for inner in node.body
            ):
                continue  # an import with a substitute
            assert isinstance(node, ALLOWED_STATEMENTS), f"{path}:{node.lineno} runs at import"


LIGHT = (
    "cli",
    "batch",
    "report",
    "labels",
    "resources",
    "reading",
    "dicom",
    "checking",
    "writing",
    "metrics",
    "statistics",
    "evaluation",
    "preview",
    "worker_client",
)


@pytest.mark.parametrize("name", LIGHT)
def test_light_part_starts_without_torch(name: str) -> None:
    """Importing torch takes seconds; inside Slicer it may not even be installed yet."""
    code = f"import sys, FlareSegmentLib.{name}; sys.exit('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr or f"{name} imports torch"


def _training_of_slicer(repository: Path) -> set[str]:
    """Names of the parts of FlareTrainLib that Slicer's side of training imports, wherever."""
    return {
        node.module if node.module != "FlareTrainLib" else f"FlareTrainLib.{alias.name}"
        for path in _slicer_side(repository)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("FlareTrainLib")
        for alias in node.names
    }


def test_training_opens_in_slicer_before_torch_is_installed(repository: Path) -> None:
    """And never loads it into Slicer's own process, whose window would stop for seconds."""
    parts = sorted(_training_of_slicer(repository))
    assert "FlareTrainLib.run_folder" in parts
    code = f"import sys; sys.modules['torch'] = None; import {', '.join(parts)}"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
