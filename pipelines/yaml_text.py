"""YAML in and out, by the core schema of YAML 1.2.

PyYAML follows YAML 1.1, in which ``1e-3`` is a string, ``on`` a boolean, ``12:30`` the number 750 and ``2014-09-30`` a date object.
Here a number is what it looks like, only ``true`` and ``false`` are booleans, and a key that is given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from recsys.errors import ConfigError

_SCALARS = (
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:[1-9][0-9]*|0)$"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"line {key.start_mark.line + 1}: a list or mapping stands where a name is expected; write name: value")
            if key.value in seen:
                raise ConfigError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice; remove one of the two")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    for _tag, _pattern, _first in _SCALARS:
        _class.add_implicit_resolver(_tag, _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _number(str(node.value)))


def _number(text: str) -> float:
    lower = text.lower()
    return float(lower.replace(".", "")) if lower.endswith(("inf", "nan")) else float(lower)


def as_number(text: str) -> float | None:
    """The number a string spells in YAML 1.2 (``1e-3``, ``.inf``), or None."""
    return _number(text) if any(pattern.match(text) for tag, pattern, _ in _SCALARS[2:]) else None


def parse(text: str) -> Any:
    """Plain Python data from YAML text.

    Raises:
        ConfigError: the text is no YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # a subclass of SafeLoader: plain data only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{place}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}") from None


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not readable, no YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file (folder: {Path.cwd()}); give the path of a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as a YAML file: byte {error.start} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read as a YAML file: {error.strerror}") from None
    try:
        found = parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        given = "is empty" if found is None else f"holds a {type(found).__name__}"
        raise ConfigError(f"{path}: {given}; an experiment is a mapping with data, split and model")
    return found


def write(value: Any) -> str:
    """YAML text that :func:`parse` reads back as the same data. Short lists and mappings stand on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130, default_flow_style=None)
