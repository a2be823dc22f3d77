"""Promises about the code as a whole: who imports whom, where randomness comes from, and that every part is tested."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = {"mlflow", "optuna", "implicit", "threadpoolctl", "pandas", "matplotlib", "plotly", "seaborn", "ranx", "pytest", "hypothesis"}
LIBRARY = sorted((ROOT / "recsys").rglob("*.py"))

# Role package -> the classes that stand for the role and are no part themselves
ROLES = {
    "recsys.sampling": ("Sampler", "Proposal", "Refine"),
    "recsys.losses": ("Loss",),
    "recsys.batching": ("Batches",),
    "recsys.models": ("Model", "ClosedForm", "SequenceModel"),
    "recsys.splitting": ("Splitter", "Blockwise"),
    "recsys.cleaning": ("Step", "OwnerStep", "LogStep"),
    "recsys.metrics": ("Metric", "ListMetric"),
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}"


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Top-level names of all packages that a file imports anywhere, with the node."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], node


def imported_at_once(path: Path) -> set[ast.AST]:
    """Import nodes that run when the module is imported: not within a function, nor for type checkers only."""
    found: set[ast.AST] = set()
    todo: list[ast.AST] = list(tree(path).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.add(node)
        todo += ast.iter_child_nodes(node)
    return found


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file with the source text of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


# Imports


def test_the_library_never_imports_the_commands_or_the_tests():
    assert LIBRARY
    assert [where(p, n) for p in LIBRARY for name, n in imports(p) if name in {"pipelines", "tests"}] == []


def test_the_library_reads_no_yaml_and_parses_no_command_line():
    assert [where(p, n) for p in LIBRARY for name, n in imports(p) if name in {"yaml", "jsonargparse", "argparse"}] == []


def test_optional_packages_are_imported_where_they_are_used_and_not_before():
    early = [f"{where(p, n)} {name}" for p in LIBRARY for name, n in imports(p) if name in OPTIONAL and n in imported_at_once(p)]
    assert early == []


def test_importing_the_library_leaves_optional_packages_out():
    unwanted = OPTIONAL | {"yaml", "jsonargparse", "pipelines", "sqlalchemy", "sklearn"}
    code = (
        "import sys, importlib, recsys, recsys.tracking, recsys.environment;"
        f"[importlib.import_module(name) for name in {sorted(ROLES)}];"
        f"print(*sorted({unwanted!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_module_of_the_library_can_be_imported_alone():
    """In any order, that is: no module relies on another one having been imported before it."""
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in LIBRARY]
    code = (
        "import sys, importlib\n"
        "failed = []\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'recsys']: del sys.modules[loaded]\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception as error: failed.append(f'{name}: {error!r}')\n"
        "print('\\n'.join(failed))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


# Randomness and stored files

TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "poisson"}
TENSOR_DRAWS = {"normal_", "uniform_", "random_", "exponential_", "bernoulli_", "cauchy_", "geometric_", "log_normal_"}


def test_random_numbers_come_from_a_named_stream():
    """Never from a global generator: a draw may not depend on what was drawn before, by whom, on how many threads."""
    wrong = []
    for path in LIBRARY:
        if path.name == "randomness.py":
            continue
        for name, call in calls(path):
            last = name.rsplit(".", 1)[-1]
            if name.startswith(("nn.init.", "torch.nn.init.")):
                continue  # in setup, before which the global stream is set from the seed
            draws = (name.startswith("torch.") and last in TORCH_DRAWS) or ("." in name and last in TENSOR_DRAWS)
            if draws and not any(keyword.arg == "generator" for keyword in call.keywords):
                wrong.append(f"{where(path, call)} {name} without generator=")
            if re.fullmatch(r"(np|numpy)\.random\.\w+", name) and last not in {"default_rng", "Generator"}:
                wrong.append(f"{where(path, call)} {name}")
            if last == "manual_seed" or (last == "default_rng" and not call.args):
                wrong.append(f"{where(path, call)} {name}")
        wrong += [f"{where(path, n)} import random" for name, n in imports(path) if name == "random"]
    assert wrong == []


def test_stored_files_are_data_and_never_code():
    wrong = [where(p, n) for p in LIBRARY for name, n in imports(p) if name in {"pickle", "dill", "cloudpickle", "joblib", "shelve"}]
    for path in LIBRARY:
        for name, call in calls(path):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            unsafe = (name == "torch.load" and given.get("weights_only") != "True") or given.get("allow_pickle") == "True"
            if unsafe or name in {"eval", "exec"}:
                wrong.append(f"{where(path, call)} {name}")
    assert wrong == []


# Every part has its conformance test


def parts(package: str) -> set[type]:
    """The concrete public classes of a role, defined in any module of its package."""
    root = importlib.import_module(package)
    modules = [root, *(importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(root.__path__))]
    bases = tuple(base for name in ROLES[package] if (base := find(modules, name)) is not None)
    assert bases, f"{package} has none of the classes {ROLES[package]}"
    found = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__.startswith(f"{package}.") and not name.startswith("_")
    }
    return {cls for cls in found if issubclass(cls, bases) and cls not in bases and not inspect.isabstract(cls)}


def find(modules: list[ModuleType], name: str) -> type | None:
    for module in modules:
        if isinstance(getattr(module, name, None), type):
            return getattr(module, name)
    return None


@pytest.fixture(scope="module")
def cases() -> dict[type, list[object]]:
    """``CASES`` of tests/test_conformance.py: for each class the instances that its suite is run on."""
    path = Path(__file__).with_name("test_conformance.py")
    described = importlib.util.spec_from_file_location("conformance_cases", path)
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module.CASES


@pytest.mark.parametrize("package", ROLES)
def test_every_part_has_a_conformance_test(package: str, cases: dict[type, list[object]]):
    without = sorted(cls.__qualname__ for cls in parts(package) if not cases.get(cls))
    assert without == [], f"add instances to CASES in tests/test_conformance.py for these classes of {package}"


@pytest.mark.parametrize("package", ROLES)
def test_every_part_is_exported_by_its_role(package: str):
    exported = importlib.import_module(package)
    found = parts(package)
    assert found
    assert sorted(cls.__qualname__ for cls in found if getattr(exported, cls.__qualname__, None) is not cls) == []
    assert sorted(cls.__qualname__ for cls in found if cls.__qualname__ not in exported.__all__) == []


def test_conformance_cases_are_instances_of_their_class(cases: dict[type, list[object]]):
    assert [cls.__qualname__ for cls, instances in cases.items() if not all(type(i) is cls for i in instances)] == []


@pytest.mark.parametrize("package", ROLES)
def test_every_knob_is_keyword_only_or_data_and_has_a_docstring(package: str):
    """At most the first argument of a constructor may be positional; no ``*args`` or ``**kwargs`` swallow a misspelling."""
    wrong = []
    for cls in parts(package):
        own = cls.__init__ not in (nn.Module.__init__, object.__init__)
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:] if own else []
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            wrong.append(f"{cls.__qualname__} swallows arguments")
        if any(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[1:]):
            wrong.append(f"{cls.__qualname__} has positional knobs")
        if not cls.__doc__:
            wrong.append(f"{cls.__qualname__} has no docstring")
    assert sorted(wrong) == []


# Packaging


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements() -> dict[str, Requirement]:
    """What pyproject.toml asks for, extras included, by canonical name."""
    given = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    return {canonical(r.name): r for r in map(Requirement, given) if canonical(r.name) != canonical(PROJECT["name"])}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_within_its_range():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    pins = {canonical(name): version for name, version in pins.items()}
    assert {name: r.specifier.contains(pins[name]) if name in pins else "no pin" for name, r in requirements().items()} == dict.fromkeys(
        requirements(), True
    )
    assert "+" not in pins["torch"], "the build of torch is the user's choice"


def test_each_package_the_code_imports_is_declared():
    """A package that only happens to be installed with another one is missing on the day that one drops it."""
    module_names = {"pyyaml": "yaml"}
    declared = {module_names.get(name, name.replace("-", "_")) for name in requirements()} | {"recsys", "pipelines"}
    files = [*LIBRARY, *sorted((ROOT / "pipelines").rglob("*.py"))]
    used = {name: where(p, n) for p in files for name, n in imports(p) if name not in sys.stdlib_module_names}
    assert {name: place for name, place in used.items() if name not in declared} == {}
    required = {canonical(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert {name for name in required if module_names.get(name, name) not in used} == set(), "nothing imports these"


def dry_run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", f"VENV={tmp_path / 'venv'}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["quickstart", "test", "lint"])
def test_make_installs_torch_first_and_alone_from_the_index_that_is_asked_for(tmp_path: Path, target: str):
    done = dry_run(tmp_path, "-n", target, "TORCH_INDEX_URL=https://example.org/cpu")
    installs = [line.split(" install ", 1)[1] for line in done.stdout.splitlines() if "/pip " in line and " install " in line]
    assert re.fullmatch(r"--index-url https://example\.org/cpu torch==[\d.]+", installs[0]), done.stdout + done.stderr
    assert installs[1].startswith("-c constraints.txt -e ")
    assert len(installs) == 2


def test_make_says_what_is_missing(tmp_path: Path):
    done = dry_run(tmp_path, "quickstart", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "there is no command no-such-python; install Python 3.11 or newer" in done.stderr
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = dry_run(tmp_path, "quickstart", f"PYTHON={old}")
    assert "is Python 3.9.2; 3.11 or newer is needed" in done.stderr
