"""From YAML and command-line overrides to an :class:`~recsys.experiment.Experiment`, and back.

A config file is a mapping with the options of an experiment. A class is written in one of two ways::

    model: MF                                               # its defaults
    model: {MF: {dim: 64}}                                  # the name, with its options under it
    model: {class_path: recsys.models.MF, init_args: {dim: 64}}     # canonical: what the resolved config prints

A short name is one that the package of its role exports; any other class is written by its import path. A role with a single
class (``fit``, ``evaluation``) takes its options directly: ``fit: {epochs: 3}``.

An override is a dotted path and a YAML value: ``--model.dim=32``. ``--sampler=Uniform`` changes the class and starts from the
defaults of the new one; naming the class that is there already changes nothing. Shorter paths are applied first, so the order of
``--sampler=Uniform --sampler.num=4`` does not matter. An override that fits no option is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pipelines import yaml_text
from pipelines.classes import Option, Problem, candidates, listing, options, see_current_folder, suggestion
from pipelines.typed import MAPPINGS, Builder, Chosen, Text, choose, default_of, join, members, missing, origin_of, roles, unknown, word
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from recsys.experiment import Experiment

Override = tuple[str, str]


class ConfigErrors(ConfigError):
    """All problems of one config, one line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


@dataclass
class Resolved:
    """An experiment, and notes on what the command line replaced."""

    experiment: Any
    notes: list[str] = field(default_factory=list)


def load(path: Path | str, overrides: Sequence[Override] = ()) -> Experiment:
    """The experiment in a config file, with overrides as pairs of dotted path and YAML text (``("model.dim", "32")``).

    Raises:
        ConfigError: with one line for each problem found. No data is read.
    """
    built: Experiment = resolve(yaml_text.read(Path(path)), overrides).experiment
    return built


def loads(text: str) -> Experiment:
    """The experiment in a YAML text, such as :func:`dump` writes."""
    found = yaml_text.parse(text)
    if not isinstance(found, dict):
        raise ConfigError("a config is a mapping with data, split and model")
    built: Experiment = resolve(found).experiment
    return built


def dump(experiment: Experiment) -> str:
    """The resolved config: every option with its value, in canonical form. Loading it gives an equal experiment."""
    return yaml_text.write(experiment.spec())


def root_class() -> type:
    """What a config file describes."""
    from recsys.experiment import Experiment

    found: type = Experiment
    return found


def resolve(tree: Mapping[str, Any], overrides: Sequence[Override] = (), root: type | None = None) -> Resolved:
    """Apply the overrides, check everything, build.

    Raises:
        ConfigErrors: every problem found.
    """
    builder, chosen, notes = _prepare(tree, overrides, root or root_class())
    built = builder.part(chosen, "")
    if builder.problems:
        raise ConfigErrors(builder.problems)
    return Resolved(built, notes)


def resolve_option(tree: Mapping[str, Any], name: str, overrides: Sequence[Override] = (), root: type | None = None) -> Any:
    """One option of an experiment alone, such as its data.

    Raises:
        ConfigErrors: every problem found in this option.
    """
    builder, chosen, _ = _prepare(tree, overrides, root or root_class())
    known = options(chosen.cls)
    built = builder.value(chosen.given[name], known[name].hint, name) if name in chosen.given else None
    problems = [*builder.problems, *([] if name in chosen.given else [missing(chosen.cls, known[name], "")])]
    if problems:
        raise ConfigErrors(problems)
    return built


def _prepare(tree: Mapping[str, Any], overrides: Sequence[Override], root: type) -> tuple[Builder, Chosen, list[str]]:
    """The config with the overrides in it, not yet checked, and what the overrides left behind."""
    see_current_folder()
    elsewhere = tuple(role for option in options(root).values() for role in roles(option.hint))
    chosen, builder, notes = Chosen(root, dict(tree)), Builder(elsewhere), []
    for key, typed in sorted(overrides, key=lambda pair: pair[0].count(".")):
        try:
            notes += _put(chosen, key.split("."), Text(typed, _yaml(key, typed)), "", elsewhere)
        except Problem as problem:
            builder.refuse(problem)
    return builder, chosen, notes


def option_at(tree: Mapping[str, Any], key: str, root: type | None = None) -> Option:
    """The option at a dotted path of a config, for help."""
    node, keys, path = Chosen(root or root_class(), dict(tree)), key.split("."), ""
    for name in keys[:-1]:
        inner = _open(node, name, path, ())
        if not isinstance(inner, Chosen):
            raise Problem(join(path, name), "help is there for classes and their options only")
        node, path = inner, join(path, name)
    return _option(node, keys[-1], path)


def _yaml(key: str, typed: str) -> Any:
    try:
        return yaml_text.parse(typed)
    except ConfigError as error:
        raise Problem(key, f"{typed!r}: {error}") from None


def _option(node: Chosen, name: str, path: str) -> Option:
    known = options(node.cls, path)
    if name not in known:
        raise unknown(node.cls, name, known, path)
    return known[name]


def _put(node: Chosen, keys: list[str], value: Text, path: str, elsewhere: tuple[type, ...]) -> list[str]:
    """Set one option below a class. Returns notes on options that a change of class leaves behind."""
    name, here = keys[0], join(path, keys[0])
    option = _option(node, name, path)
    if len(keys) == 1:
        return _set(node.given, name, value, option.hint, option, here, elsewhere)
    inner = _open(node, name, path, elsewhere)
    if isinstance(inner, Chosen):
        return _put(inner, keys[1:], value, here, elsewhere)
    hint, key = _value_hint(option.hint), keys[1]
    slot = Option(key, hint, None)
    if len(keys) == 2:
        return _set(inner, key, value, hint, slot, join(here, key), elsewhere)
    if key not in inner:
        there = f"there is no {key!r}, only: {listing(inner)}; add one with --{join(here, key)}=CLASS"
        raise Problem(join(here, key), there + suggestion(key, inner))
    chosen = inner[key] = choose(inner[key], roles(hint), join(here, key), elsewhere)
    return _put(chosen, keys[2:], value, join(here, key), elsewhere)


def _set(given: dict[str, Any], name: str, value: Text, hint: Any, option: Option, path: str, elsewhere: tuple[type, ...]) -> list[str]:
    """Replace a value; where a class is named, keep the options of the same class and leave those of another."""
    among = roles(hint)
    current = given.get(name, default_of(option))
    if among and isinstance(value.value, str) and str not in members(hint) and current is not None:
        new, old = choose(value, among, path, elsewhere), choose(current, among, path, elsewhere)
        given[name] = old if new.cls is old.cls else new
        if new.cls is old.cls or not old.given:
            return []
        replaced = f"{path}: {new.cls.__name__} replaces {old.cls.__name__} and starts from its own defaults"
        return [f"{replaced} ({listing(old.given)} of the file not used)"]
    given[name] = value
    return []


def _open(node: Chosen, name: str, path: str, elsewhere: tuple[type, ...]) -> Chosen | dict[str, Any]:
    """What is below an option, ready to be changed: a class with its options, or a mapping."""
    option, here = _option(node, name, path), join(path, name)
    current = node.given.get(name, default_of(option))
    current = current.value if isinstance(current, Text) else current
    among = roles(option.hint)
    if any(origin_of(m) in MAPPINGS for m in members(option.hint)) and not isinstance(current, Chosen):
        inner: dict[str, Any] = dict(current) if isinstance(current, dict) else {}
        node.given[name] = inner
        return inner
    if not among:
        whole = "a list is replaced as a whole, " if isinstance(current, list | tuple) else ""
        raise Problem(here, f"has no options of its own; {whole}it takes {word(option.hint)}: --{here}=VALUE")
    if current is None:
        try:
            chosen = choose({}, among, here, elsewhere)
        except Problem:
            allowed = listing(candidates(among))
            raise Problem(here, f"no class is given, so it has no options; add --{here}=CLASS with one of {allowed}") from None
    else:
        chosen = choose(current, among, here, elsewhere)
    node.given[name] = chosen
    return chosen


def _value_hint(hint: Any) -> Any:
    inner = next(get_args(m) for m in members(hint) if origin_of(m) in MAPPINGS)
    return inner[1] if len(inner) == 2 else Any
