"""Named random streams derived from one seed.

Every random decision of a run asks for its own stream by name, for instance ``(seed, "draw", epoch, step)``. The same key gives
the same numbers whatever was drawn before, by whom, and with how many threads or workers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

Key = int | str


def seed_of(*key: Key) -> int:
    """A 56-bit seed from a key of integers and names (BLAKE2b of its text, so equal on every machine and Python version)."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=7).digest(), "big")


def generator(*key: Key, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for this key on ``device``. CPU and CUDA generators are different algorithms: draws repeat per device type."""
    return torch.Generator(device=device).manual_seed(seed_of(*key))


def numpy_generator(*key: Key) -> np.random.Generator:
    """A NumPy generator for this key."""
    return np.random.default_rng(seed_of(*key))


def reseed_global(*key: Key, device: torch.device | str = "cpu") -> None:
    """Set torch's global stream of ``device`` (dropout takes no generator of its own)."""
    seed = seed_of(*key)
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        torch.cuda.manual_seed(seed)
