"""What ``--model.help`` and ``--model.help=MF`` print: the classes of a place in a config, and the options of one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pipelines.classes import Option, a_role, candidates, find, options, role_names, see_current_folder
from pipelines.commands import in_columns
from pipelines.config import option_at
from pipelines.typed import default_of, item_roles, roles, word
from recsys.part import class_path


def component_help(tree: Mapping[str, Any], key: str, name: str = "", root: type | None = None) -> str:
    """Help for the option at a dotted path of a config.

    Raises:
        Problem: there is no such option or class.
    """
    see_current_folder()
    option = option_at(tree, key, root)
    among, listed = roles(option.hint) or item_roles(option.hint), bool(item_roles(option.hint))
    if name:
        return class_help(find(name, among, key), key)
    if not among:
        return f"--{key}: {_line(option)}"
    short = candidates(among)
    if len(short) == 1 and not listed:
        return class_help(next(iter(short.values())), key)
    lines = in_columns([(label, summary(cls)) for label, cls in short.items()])
    own = f"  or the import path of {a_role(among)} of your own: my_file.MyClass, in my_file.py here"
    several = f"--{key}='[CLASS, {{CLASS: {{option: value}}}}]' (a list of {role_names(among)})"
    given = several if listed else f"--{key}=CLASS ({role_names(among)})"
    return "\n".join([given, *lines, own, f"--{key}.help=CLASS says what a class takes."])


def class_help(cls: type, key: str) -> str:
    """The docstring of a class and its options as command-line overrides."""
    rows = [f"  --{key}.{option.name}: {_line(option)}" for option in options(cls).values()]
    doc = inspect.cleandoc(cls.__doc__ or "")
    return "\n".join([f"{cls.__name__} ({class_path(cls)})", "", *([doc, ""] if doc else []), *(rows or ["  It has no options."])])


def summary(cls: type) -> str:
    """The first sentence of a class's docstring."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".:").replace("``", "")


def _line(option: Option) -> str:
    return f"{word(option.hint)}" + (", required" if option.required else f" = {_shown(default_of(option))}")


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
