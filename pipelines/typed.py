"""Values against type hints: turns plain data into constructor arguments, and says in words what does not fit."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pipelines.classes import Option, Problem, a_role, candidates, failed, find, listing, options, role_names, suggestion
from pipelines.yaml_text import as_number
from recsys.part import knobs, spec

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable)
MAPPINGS = (dict, collections.abc.Mapping)
_SCALARS = (bool, int, float, str)
_INVALID: Any = object()


@dataclass
class Chosen:
    """A class and the options given for it, not yet checked. Written as ``MF``, ``{MF: {dim: 64}}`` or with class_path and init_args."""

    cls: type
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """A value from the command line: as it was typed, and as YAML reads it."""

    typed: str
    value: Any


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a hint, ``Annotated`` and type aliases looked through."""
    if get_origin(hint) is typing.Annotated:
        return members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(m for part in get_args(hint) for m in members(part))
    return (type(None),) if hint is None else (hint,)


def roles(hint: Any) -> tuple[type, ...]:
    """Those alternatives of a hint that are configured objects: neither scalars nor containers."""
    plain = (*_SCALARS, *_LISTS, *MAPPINGS, tuple, type(None), object, set, frozenset)
    return tuple(m for m in members(hint) if isinstance(m, type) and m not in plain and not issubclass(m, PurePath) and not get_origin(m))


def item_roles(hint: Any) -> tuple[type, ...]:
    """The configured objects that a list hint asks for."""
    return tuple(role for m in members(hint) if origin_of(m) in _LISTS for inner in get_args(m) for role in roles(inner))


def word(hint: Any) -> str:
    """A hint in the words of a message."""
    names = []
    for member in members(hint):
        if get_origin(member) is Literal:
            names += [repr(a) for a in get_args(member)]
        elif member is type(None):
            names.append("null")
        else:
            origin, inner = get_origin(member), [word(a) for a in get_args(member) if a is not Ellipsis]
            label = getattr(origin or member, "__name__", str(member))
            names.append(f"{label}[{', '.join(inner)}]" if inner else label)
    return " or ".join(names)


def shown(value: Any) -> str:
    """A value and its kind in the words of a message, shortened."""
    if value is None:
        return "null"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def choose(value: Any, among: tuple[type, ...], path: str, elsewhere: tuple[type, ...] = ()) -> Chosen:
    """The class that a value names, with the options given for it.

    Raises:
        Problem: the value is no way of naming a class, or the class does not exist or fit.
    """
    if isinstance(value, Chosen):
        return value
    value = value.value if isinstance(value, Text) else value
    short = candidates(among)
    only = next(iter(short.values())) if len(short) == 1 else None
    if isinstance(value, str):
        return Chosen(find(value, among, path, elsewhere))
    if not isinstance(value, dict):
        raise Problem(path, f"{shown(value)} does not name {a_role(among)}; allowed: {listing(short)}")
    if "class_path" in value:
        return _canonical(value, among, path, elsewhere)
    if only and (len(value) != 1 or next(iter(value)) in options(only)):
        return Chosen(only, dict(value))
    if len(value) == 1 and isinstance(name := next(iter(value)), str) and (name[:1].isupper() or "." in name):
        inner = value[name]
        cls = find(name, among, path, elsewhere)
        if inner is not None and not isinstance(inner, dict):
            raise Problem(path, f"the options of {name} must be a mapping, not {shown(inner)}; write {{{name}: {{option: value}}}}")
        return Chosen(cls, dict(inner or {}))
    if only:
        return Chosen(only, dict(value))
    names = [str(name) for name in value]
    write = f"write {{CLASS: {{...}}}} with one of {listing(short)}"
    if len(names) > 1 and all(name in short for name in names):
        raise Problem(path, f"{listing(names)} are {len(names)} classes, and one {role_names(among)} is needed; choose one")
    hint = suggestion(names[0], short) if len(names) == 1 else ""
    raise Problem(path, f"which {role_names(among)}? options are given ({listing(names)}) but no class; {write}{hint}")


def _canonical(value: dict[str, Any], among: tuple[type, ...], path: str, elsewhere: tuple[type, ...]) -> Chosen:
    extra = [k for k in value if k not in ("class_path", "init_args")]
    if extra:
        hint = suggestion(extra[0], ["init_args"])
        raise Problem(path, f"{extra[0]!r} stands beside class_path; options of the class go under init_args{hint}")
    name, inner = value["class_path"], value.get("init_args")
    if not isinstance(name, str):
        raise Problem(path, f"class_path must be the name or import path of a class, not {shown(name)}")
    if inner is not None and not isinstance(inner, dict):
        raise Problem(path, f"init_args must be a mapping, not {shown(inner)}")
    return Chosen(find(name, among, path, elsewhere), dict(inner or {}))


def join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


class Builder:
    """Builds objects from plain data and collects every problem on the way."""

    def __init__(self, elsewhere: tuple[type, ...] = ()) -> None:
        self.elsewhere = elsewhere
        self.problems: list[Problem] = []

    def part(self, chosen: Chosen, path: str) -> Any:
        """The object, or a marker if there were problems."""
        try:
            known = options(chosen.cls, path)
        except Problem as problem:
            return self.refuse(problem)
        values = {}
        for name, given in chosen.given.items():
            if name in known:
                values[name] = self.value(given, known[name].hint, join(path, name))
            else:
                values[name] = self.refuse(unknown(chosen.cls, str(name), known, path))
        for name, option in known.items():
            if option.required and name not in values:
                values[name] = self.refuse(missing(chosen.cls, option, path))
        if any(v is _INVALID for v in values.values()):
            return _INVALID
        return self._call(chosen.cls, values, path)

    def _call(self, cls: type, values: dict[str, Any], path: str) -> Any:
        try:
            built = cls(**values)
        except ValueError as error:
            return self.refuse(refused(cls, str(error), path))
        except Exception as error:  # the constructor may be the user's own
            return self.refuse(failed(path, f"making {cls.__name__}", error))
        try:
            knobs(built)
        except TypeError as error:
            return self.refuse(Problem(path, str(error)))
        return built

    def refuse(self, problem: Problem) -> Any:
        """Take note of a problem, once, and give the marker of a value that is none."""
        if str(problem) not in map(str, self.problems):
            self.problems.append(problem)
        return _INVALID

    def value(self, given: Any, hint: Any, path: str) -> Any:
        """The argument for one option."""
        if isinstance(given, Text):
            return self._typed(given, hint, path)
        alternatives = members(hint)
        if Any in alternatives or object in alternatives:
            return given
        if given is None:
            return None if type(None) in alternatives else self._wrong(given, hint, path)
        if type(given) is int and not -(2**63) <= given < 2**63:
            return self.refuse(Problem(path, f"{given} does not fit in 64 bits; give a smaller number"))
        for member in alternatives:  # an exact fit first, so that 3 stays an int where int and float are both allowed
            if member is type(given) and member in _SCALARS:
                return given
        for member in alternatives:
            if (fit := self._plain(given, member, path)) is not _INVALID:
                return fit
        if (among := roles(hint)) and isinstance(given, str | dict | Chosen):
            return self._object(given, among, path)
        containers = [m for m in alternatives if _is_container(given, m)]
        return self._container(given, containers[0], path) if containers else self._wrong(given, hint, path)

    def _typed(self, given: Text, hint: Any, path: str) -> Any:
        """From the command line: as YAML reads it, or else as it was typed (``--data.name=2014`` where a string is asked for)."""
        attempt = Builder(self.elsewhere)
        fit = attempt.value(given.value, hint, path)
        if fit is _INVALID and isinstance(given.value, bool | int | float | None):
            as_typed = Builder(self.elsewhere).value(given.typed, hint, path)
            if as_typed is not _INVALID:
                return as_typed
        for problem in attempt.problems:
            self.refuse(problem)
        return fit

    def _plain(self, given: Any, member: Any, path: str) -> Any:
        """A scalar as one alternative, or the marker."""
        if get_origin(member) is Literal:
            return next((a for a in get_args(member) if a == given and type(a) is type(given)), _INVALID)
        if isinstance(member, type) and issubclass(member, PurePath) and isinstance(given, str):
            return Path(given)
        if member is float and not isinstance(given, bool):
            number = given if isinstance(given, int) else as_number(given) if isinstance(given, str) else None
            return _INVALID if number is None else float(number)
        return _INVALID

    def _object(self, given: Any, among: tuple[type, ...], path: str) -> Any:
        try:
            chosen = choose(given, among, path, self.elsewhere)
        except Problem as problem:
            return self.refuse(problem)
        return self.part(chosen, path)

    def _container(self, given: Any, member: Any, path: str) -> Any:
        inner = get_args(member)
        if isinstance(given, dict):
            hint = inner[1] if len(inner) == 2 else Any
            built: Any = {str(k): self.value(v, hint, join(path, k)) for k, v in given.items()}
            return _INVALID if any(v is _INVALID for v in built.values()) else built
        is_tuple = (get_origin(member) or member) is tuple
        if is_tuple and inner and inner[-1] is not Ellipsis:
            if len(inner) != len(given):
                return self.refuse(Problem(path, f"{shown(given)} has {len(given)} values; {len(inner)} are needed: {word(member)}"))
            hints: list[Any] = list(inner)
        else:
            hints = [inner[0] if inner else Any] * len(given)
        built = [self.value(v, h, join(path, i)) for i, (v, h) in enumerate(zip(given, hints, strict=True))]
        if any(v is _INVALID for v in built):
            return _INVALID
        return tuple(built) if is_tuple else built

    def _wrong(self, given: Any, hint: Any, path: str) -> Any:
        among = roles(hint)
        allowed = word(hint) if not among else f"{word(hint)} (one of {listing(candidates(among))})"
        hints = ""
        literals = [str(a) for m in members(hint) if get_origin(m) is Literal for a in get_args(m)]
        if isinstance(given, str):
            hints = suggestion(given, literals)
        elif isinstance(given, bool | int | float) and (str(given) in literals or any(m is str for m in members(hint))):
            hints = "; put it in quotes if text is meant"
        if not isinstance(given, list | dict) and any(origin_of(m) in (*_LISTS, tuple) for m in members(hint)):
            hints = f"; write [{given}]"
        return self.refuse(Problem(path, f"{shown(given)} is not allowed; allowed: {allowed}{hints}"))


def origin_of(member: Any) -> Any:
    return get_origin(member) or member


def _is_container(given: Any, member: Any) -> bool:
    origin = origin_of(member)
    return (isinstance(given, dict) and origin in MAPPINGS) or (isinstance(given, list | tuple) and origin in (*_LISTS, tuple))


def unknown(cls: type, name: str, known: dict[str, Option], path: str) -> Problem:
    """The problem of an option that a class does not have."""
    return Problem(join(path, name), f"{cls.__name__} has no option {name!r}; it has: {listing(known)}{suggestion(name, known)}")


def missing(cls: type, option: Option, path: str) -> Problem:
    """The problem of an option that is needed and not given."""
    among = roles(option.hint)
    allowed = f"one of {listing(candidates(among))}" if among else word(option.hint)
    return Problem(join(path, option.name), f"{cls.__name__} needs {option.name!r}, and nothing is given; allowed: {allowed}")


def refused(cls: type, text: str, path: str) -> Problem:
    """The problem of a value that a constructor refuses. A message that begins with the option's name leads to its path."""
    if not path or text.startswith(f"{path}."):
        return Problem("", text)
    first = text.split(maxsplit=1)[0].rstrip(":,=") if text.split() else ""
    if first.partition("=")[0] in options(cls):
        return Problem(join(path, first.partition("=")[0]), f"{cls.__name__}: {text}")
    return Problem(path, text if text.startswith(cls.__name__) else f"{cls.__name__}: {text}")


def default_of(option: Option) -> Any:
    """The default of an option as plain data, or None."""
    return None if option.default is inspect.Parameter.empty else spec(option.default)
