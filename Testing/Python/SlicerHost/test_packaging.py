"""``slicer.packaging`` asks, skips and refuses as in Slicer."""

import inspect
import sys

import pytest

# From Slicer 5.13's Base/Python/slicer/packaging.py.
SIGNATURES = {
    "pip_ensure": "requirements constraints skip_packages prompt_install prompt_restart requester "
    "skip_in_testing show_progress",
    "pip_install": "requirements constraints no_deps_requirements skip_packages blocking "
    "show_progress requester logCallback completedCallback",
    "pip_uninstall": "requirements blocking logCallback completedCallback",
    "pip_check": "req",
    "load_requirements": "path",
}


@pytest.fixture
def packaging(slicer_host):
    """The module, imported as a module of Slicer has to."""
    import slicer.packaging

    return slicer.packaging


def test_slicer_itself_does_not_import_it(slicer_host):
    """`import slicer` and then `slicer.packaging.pip_ensure` fails, as in Slicer 5.12."""
    import slicer

    from SlicerHost import namespace

    sys.modules.pop("slicer.packaging", None)
    vars(slicer).pop("packaging", None)
    namespace.import_python_parts()
    assert not hasattr(slicer, "packaging")


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_slicers(packaging, name):
    parameters = inspect.signature(getattr(packaging, name)).parameters
    assert set(SIGNATURES[name].split()) == set(parameters)


def test_requirements_files_are_read(packaging, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# why\nnumpy>=1.2\n\nno-such-package-at-all\n", encoding="utf-8")
    requirements = packaging.load_requirements(path)
    assert [packaging.pip_check(one) for one in requirements] == [True, False]


def test_a_comment_behind_a_requirement_is_refused(packaging, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("numpy>=1.2  # note\n", encoding="utf-8")
    with pytest.raises(ValueError, match="numpy"):
        packaging.load_requirements(path)


def test_nothing_is_installed_in_testing_mode(packaging):
    assert packaging.pip_ensure("no-such-package-at-all") is None


def test_declining_raises(packaging, slicer_host):
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    with pytest.raises(RuntimeError, match="declined"):
        packaging.pip_ensure("no-such-package-at-all", requester="Toy")
