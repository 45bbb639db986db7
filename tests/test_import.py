"""Importing is cheap, and imports point downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import scinn

SOURCES = Path(scinn.__file__).parent
HEAVY = ("scipy", "sklearn", "networkx", "joblib", "numba", "matplotlib")
WINGS = ("graphs", "pruning", "binary", "robustness", "privacy", "recurrent", "inverse")
GROUND = ("nn", "datasets", "reference")
# Everyone may import these.
FREE = (
    "_input",
    "_files",
    "_machine",
    "_plot",
    "_processes",
    "_terminal",
    "_version",
    "exceptions",
    "random",
    "papers",
)
FLOORS = {"kernels": 0, **dict.fromkeys(GROUND, 1), **dict.fromkeys(WINGS, 2)}
FLOORS |= {"verify": 3, "bench": 4, "reproduce": 5, "cli_methods": 6, "cli": 6, "__main__": 7}


def loaded(run_python, statement, watched):
    code = f"{statement}\nimport sys\nprint([name for name in {watched!r} if name in sys.modules])"
    return ast.literal_eval(run_python(code).stdout.splitlines()[-1])


@pytest.mark.parametrize("statement", ["import scinn", "import scinn; dir(scinn); scinn.__version__"])
def test_importing_the_package_loads_numpy_at_most(run_python, statement):
    assert loaded(run_python, statement, HEAVY) == []


@pytest.mark.parametrize("module", ["papers", "random", "exceptions", "_input", "_files", "reference"])
def test_light_modules_load_nothing_heavy(run_python, module):
    assert loaded(run_python, f"import scinn.{module}", HEAVY) == []


@pytest.mark.parametrize("arguments", [["--help"], ["papers"], ["cite", "framelets"]])
def test_light_commands_load_nothing_heavy(run_python, arguments):
    statement = (
        "import sys\nfrom scinn.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert loaded(run_python, statement, HEAVY) == []


@pytest.mark.parametrize(
    "module", sorted({p.name for p in SOURCES.iterdir() if (p / "__init__.py").exists()})
)
def test_no_subpackage_loads_what_only_some_functions_need(run_python, module):
    late = ["networkx", "joblib", "sklearn", "matplotlib"]
    assert loaded(run_python, f"import scinn.{module}", late) == []


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="no attribute 'framelet'"):
        scinn.framelet  # noqa: B018


def imports_of(path):
    """Return the second components of every ``scinn.x`` that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", "") == "import_module"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names = [node.args[0].value]
        found |= {name.split(".")[1] for name in names if name.startswith("scinn.")}
    return found


def part_of(path):
    return path.relative_to(SOURCES).with_suffix("").parts[0]


FILES = sorted(p for p in SOURCES.rglob("*.py") if p != SOURCES / "__init__.py" and part_of(p) in FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCES).as_posix())
def test_imports_point_downwards(path):
    own = part_of(path)
    for other in imports_of(path) - set(FREE) - {own, "__version__"}:
        assert other in FLOORS, f"{path} imports scinn.{other}, which has no floor"
        assert FLOORS[other] <= FLOORS[own], f"{path} imports scinn.{other} from above"
        assert not (own in WINGS and other in WINGS), f"{path}: a wing imports the wing scinn.{other}"
        assert (own, other) != ("reference", "kernels"), f"{path}: the oracle shares code with the kernels"


@pytest.mark.parametrize("name", FREE)
def test_the_free_modules_depend_on_no_floor(name):
    assert imports_of(SOURCES / f"{name}.py") <= set(FREE) | {"__version__"}


def test_every_kernel_module_has_a_twin():
    def public(folder):
        return {p.stem for p in (SOURCES / folder).glob("*.py") if not p.stem.startswith("_")}

    assert public("kernels") <= public("reference")


def test_every_file_is_on_a_floor():
    parts = {part_of(p) for p in SOURCES.rglob("*.py")} - {"__init__"}
    assert parts <= set(FLOORS) | set(FREE)
