"""What was said before the first run: a plan, frozen in the ledger of its data, and which runs are part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recsys.errors import ConfigError, RunError
from recsys.ledger import Entry, Ledger


@dataclass(frozen=True)
class Plan:
    """A hypothesis, the ``metric`` that decides, the names of the ``baseline`` and of the other methods, the ``seeds`` of each, the
    ``level`` of the test, and when to ``stop``, in words."""

    hypothesis: str
    metric: str
    baseline: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    level: float
    stop: str

    @staticmethod
    def read(tree: Mapping[str, Any], where: str) -> Plan:
        """From a mapping, as a YAML file has it.

        Raises:
            ConfigError: a key is missing, unknown, or of the wrong type.
        """
        wanted: dict[str, type | tuple[type, ...]] = {
            "hypothesis": str,
            "metric": str,
            "baseline": str,
            "methods": list,
            "seeds": list,
            "level": float,
            "stop": str,
        }
        given = {"seeds": [0], "level": 0.05, **tree}
        if unknown := [name for name in given if name not in wanted]:
            raise ConfigError(f"{where}: {unknown[0]!r} is no part of a plan; a plan has {', '.join(wanted)}")
        for name, kind in wanted.items():
            if name not in given:
                raise ConfigError(f"{where}: {name} is missing; a plan has {', '.join(wanted)}")
            if not isinstance(given[name], kind) or given[name] in ("", []):
                raise ConfigError(f"{where}: {name} is {given[name]!r}; it must be a {getattr(kind, '__name__', kind)} that says something")
        if not all(isinstance(seed, int) for seed in given["seeds"]) or not all(isinstance(name, str) for name in given["methods"]):
            raise ConfigError(f"{where}: seeds are whole numbers and methods names of config files")
        names = [given["baseline"], *given["methods"]]
        if len(set(names)) < len(names) or len(set(given["seeds"])) < len(given["seeds"]):
            raise ConfigError(f"{where}: a method or a seed is named twice; each run of a plan is made once")
        if not 0 < given["level"] < 1:
            raise ConfigError(f"{where}: level is {given['level']}; the share of false alarms to accept lies between 0 and 1, say 0.05")
        return Plan(**{**given, "methods": tuple(given["methods"]), "seeds": tuple(given["seeds"])})

    @property
    def all_methods(self) -> tuple[str, ...]:
        return (self.baseline, *self.methods)


def register(plan: Plan, configs: Mapping[str, str], ledger: Ledger) -> Entry:
    """Freeze a plan.

    Args:
        configs: the identity (:meth:`recsys.Experiment.identity`) of each method's configuration.

    Raises:
        RunError: one of them has been tested already, so that the plan may have been made to fit.
    """
    entries = ledger.entries()
    names = {identity: name for name, identity in configs.items()}
    if len(names) < len(configs):
        raise RunError("two methods of the plan have the same configuration, seeds apart; name each once")
    details = {"plan": asdict(plan), "configs": dict(configs)}
    if not any(entry.kind == "registered" and entry.details == Entry.plain(details) for entry in entries):
        for entry in entries:
            if entry.kind == "tested" and entry.details["config"] in names:
                name = names[entry.details["config"]]
                raise RunError(
                    f"{name} has been tested on these data already (run {entry.details['run']}, {entry.at}); a plan is registered before "
                    "its first run: what is compared with that run is exploratory"
                )
    return ledger.add("registered", **details)


@dataclass(frozen=True)
class Standing:
    """A registered plan, when it was, which runs belong to it (name and start), and which planned ones are not there yet."""

    plan: Plan
    registered: str
    confirmatory: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]


def standings(runs: Iterable[tuple[str, str]], entries: Sequence[Entry]) -> list[Standing]:
    """What plans say of runs, given as their name and the moment they started. A run belongs to a plan that has its configuration and
    seed and was registered before it was tested."""
    asked = set(runs)
    found = []
    for at, entry in enumerate(entries):
        if entry.kind != "registered":
            continue
        plan = Plan(**{**entry.details["plan"], **{name: tuple(entry.details["plan"][name]) for name in ("methods", "seeds")}})
        names = {identity: name for name, identity in entry.details["configs"].items()}
        later = [e.details for e in entries[at + 1 :] if e.kind == "tested" and e.details["config"] in names]
        planned = [d for d in later if d["seed"] in plan.seeds]
        done = {(names[d["config"]], d["seed"]) for d in planned}
        missing = tuple(f"{name}, seed {seed}" for name in plan.all_methods for seed in plan.seeds if (name, seed) not in done)
        ours = tuple((d["run"], d["started"]) for d in planned if (d["run"], d["started"]) in asked)
        if ours:
            found.append(Standing(plan, entry.at, ours, missing))
    return found
