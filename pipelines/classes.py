"""Classes and their options, read from signatures: which classes may stand in a place, and what each takes."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from recsys.errors import ConfigError
from recsys.part import class_path, locate


class Problem(ConfigError):
    """One thing wrong with a config: where (dotted path) and what, in one line."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(path, text)
        self.path, self.text = path, " ".join(text.split())

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass(frozen=True)
class Option:
    """One constructor argument: its type hint and its default (``inspect.Parameter.empty`` if it must be given)."""

    name: str
    hint: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


def options(cls: type, path: str = "") -> dict[str, Option]:
    """The options of a class by name, in the order of its signature."""
    found = {}
    init: Any = cls.__init__  # type: ignore[misc]
    hints = getattr(init, "__annotations__", {})
    for name, parameter in list(inspect.signature(init).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        found[name] = Option(name, _hint(cls, init, name, hints, path), parameter.default)
    return found


def _hint(cls: type, init: Any, name: str, hints: dict[str, Any], path: str) -> Any:
    hint = hints.get(name, Any)
    if isinstance(hint, str):
        try:
            hint = eval(hint, vars(sys.modules[init.__module__]))  # the author's own annotation, as typing.get_type_hints does
        except Exception as error:
            unknown = f"the type {hint!r} of option {name!r} of {cls.__name__} is not known at run time ({error})"
            raise Problem(path, f"{unknown}; import it outside TYPE_CHECKING") from None
    return hint


def suggestion(given: object, allowed: Iterable[str]) -> str:
    """``". Did you mean 'dim'?"`` when something allowed is close to what was given, else nothing."""
    by_lower = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(str(given).lower(), by_lower, n=1, cutoff=0.6)
    return f". Did you mean {by_lower[close[0]]!r}?" if close else ""


def listing(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def is_a(cls: type, roles: tuple[type, ...]) -> bool:
    """Whether a class may stand where one of these is asked for (a protocol: it has all its members)."""
    for role in roles:
        if getattr(role, "_is_protocol", False):
            members = getattr(role, "__protocol_attrs__", None) or typing._get_protocol_attrs(role)  # type: ignore[attr-defined]
            if all(hasattr(cls, name) for name in members):
                return True
        elif issubclass(cls, role):
            return True
    return False


def _homes(role: type) -> list[ModuleType]:
    """Where the classes of a role are exported: its module, the packages around it but for the outermost (``recsys.sampling.base`` and
    ``recsys.sampling``), and packages within those that export the role as well (``recsys.data.sources`` for ``recsys.data.Source``)."""
    parts = role.__module__.split(".")
    around = [importlib.import_module(".".join(parts[:n])) for n in range(min(2, len(parts)), len(parts) + 1)]
    found = list(around)
    for package in around:
        for inner in pkgutil.iter_modules(getattr(package, "__path__", ())):
            if inner.ispkg:
                module = importlib.import_module(f"{package.__name__}.{inner.name}")
                found += [module] if getattr(module, role.__name__, None) is role else []
    return found


def _exports(module: ModuleType) -> dict[str, type]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return {name: found for name in names if isinstance(found := getattr(module, name, None), type)}


def candidates(roles: tuple[type, ...]) -> dict[str, type]:
    """The classes with a short name in these roles: what the packages of the roles export, but for bases that are not to be used."""
    modules = {module.__name__: module for role in roles for module in _homes(role)}
    found = {name: cls for module in modules.values() for name, cls in sorted(_exports(module).items()) if is_a(cls, roles)}
    return {name: cls for name, cls in found.items() if not _is_base(cls, roles, list(found.values()))}


def _is_base(cls: type, roles: tuple[type, ...], among: list[type]) -> bool:
    """Whether others here derive from a class that is the role itself or leaves a method unwritten."""
    if not any(other is not cls and issubclass(other, cls) for other in among):
        return False
    methods = (inspect.getattr_static(cls, name) for name in dir(cls) if not name.startswith("__"))
    unwritten = (code for found in methods if (code := getattr(found, "__code__", None)) and code.co_names == ("NotImplementedError",))
    return cls in roles or inspect.isabstract(cls) or any(True for _ in unwritten)


def role_names(roles: tuple[type, ...]) -> str:
    return " or ".join(role.__name__ for role in roles)


def a_role(roles: tuple[type, ...]) -> str:
    """``a Loss``, ``an Optimizer``."""
    names = role_names(roles)
    return f"{'an' if names[:1] in 'AEIO' else 'a'} {names}"


def find(name: str, roles: tuple[type, ...], path: str, elsewhere: tuple[type, ...] = ()) -> type:
    """The class of that short name or import path, if it may stand in this place.

    ``elsewhere`` are the other roles of an experiment: a short name found there is named as what it is.

    Raises:
        Problem: no such class, or one of the wrong kind.
    """
    short = candidates(roles)
    if name in short:
        return short[name]
    allowed = f"allowed: {listing(short)}, or the import path of {a_role(roles)} of your own"
    if "." not in name:
        for role in elsewhere:
            if name in (other := candidates((role,))):
                raise Problem(path, f"{name} is {a_role((role,))} ({class_path(other[name])}), not {a_role(roles)}; {allowed}")
        raise Problem(path, f"no {role_names(roles)} is called {name!r}; {allowed}{suggestion(name, short)}")
    cls = _import(name, path, allowed)
    if not is_a(cls, roles):
        kinds = [role for role in elsewhere if is_a(cls, (role,))]
        what = f"is {a_role((kinds[0],))}, not" if kinds else "is not"
        raise Problem(path, f"{name} {what} {a_role(roles)}; {allowed}")
    return cls


def _import(name: str, path: str, allowed: str) -> type:
    module, _, last = name.rpartition(".")
    if not all(part.isidentifier() for part in name.split(".")):
        raise Problem(path, f"{name!r} is no import path; write my_file.MyClass for a class in my_file.py of the current folder; {allowed}")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # not this module, but one that it imports
            raise failed(path, f"importing {module!r}", error) from None
        raise Problem(path, f"no class at {name!r}: there is no module {error.name!r} here or installed; {allowed}") from None
    except (Exception, SystemExit) as error:
        raise failed(path, f"importing {module!r}", error) from None
    try:
        return locate(name)
    except ValueError as error:
        known = sys.modules.get(module)
        raise Problem(path, f"{error}; {allowed}{suggestion(last, _exports(known)) if known else ''}") from None


def failed(path: str, what: str, error: BaseException) -> Problem:
    """The problem of a user's code that raised an error, with the line where it did."""
    text = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
    return Problem(path, f"{what} failed: {text}{_where(error)}; mend it, or give something else")


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" ({error.filename}:{error.lineno})"
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<frozen"):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def see_current_folder() -> None:
    """Let a class in the current folder be found by its import path, behind everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
