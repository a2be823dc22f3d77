from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data sets, from RECSYS_DATA; tests that ask for it skip without it."""
    root = os.environ.get("RECSYS_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("RECSYS_DATA is not set to a folder of data sets")
    return Path(root)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prepared data and ledgers of tests lie in a folder of their own, whatever the user has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _restore_torch() -> object:
    """One thread, unless a test asks for more (tiny tensors only wait for each other), and no flag leaks into the next test."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)
