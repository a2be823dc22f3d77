"""Where a number was made: code, versions, machine, memory. Nothing heavy is imported to find out."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("recsys-axes", "torch", "polars", "numpy", "numba")


def facts(folder: Path | str = ".") -> dict[str, Any]:
    """Plain JSON facts to store beside every result.

    ``git_commit`` and ``git_dirty`` (uncommitted changes of tracked files) are those of the repository that holds ``folder``,
    None outside of one. ``threads`` is torch's thread count, None while torch is not imported; ``cpus`` is the number of CPUs
    this process may use. ``versions`` has the installed packages by distribution name, None for one that is not installed.
    """
    commit, dirty = git_state(folder)
    torch = sys.modules.get("torch")
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "gpu": torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None,
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two :func:`facts` of that which weights depend on: they repeat bit for bit only with the same of it."""
    return [name for name in ("threads", "versions", "cpu", "gpu", "git_commit") if now[name] != before[name]]


def git_state(folder: Path | str = ".") -> tuple[str | None, bool | None]:
    """The commit checked out in ``folder`` and whether tracked files differ from it; (None, None) without git or a commit."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_rss_mb() -> float | None:
    """The most memory this process has held, in MiB (2**20 bytes); None where the system does not tell.

    On Linux the value is the kernel's VmHWM: ``getrusage`` would count a parent that was larger before it started this process.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def available_memory() -> int | None:
    """Bytes that the system could give now, within the limit of the container if there is one; None where neither is told."""
    known = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        pass
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
        known += [int(limit) - int(used)] if limit != "max" else []
    except OSError:
        pass
    return min(known, default=None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path | str, *arguments: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
