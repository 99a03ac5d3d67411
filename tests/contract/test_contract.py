"""One contract for every world that needs no cluster; tests/cluster holds the real API server to it too."""

from pathlib import Path

import pytest

from tests.contract.suite import CONTRACT, Contract
from tests.contract.worlds import in_memory, local, simulated

WORLDS = {"simulated": simulated, "local": local, "in memory": in_memory}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("fact", CONTRACT, ids=lambda fact: fact.__name__)
async def test_the_contract(name: str, fact: Contract, tmp_path: Path) -> None:
    """See the fact."""
    async with WORLDS[name](tmp_path) as world:
        await fact(world)
