"""The real API server keeps the contract that the simulator and local mode keep."""

from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.contract.suite import CONTRACT, Contract
from tests.contract.worlds import on_a_server


@pytest.mark.parametrize("fact", CONTRACT, ids=lambda fact: fact.__name__)
async def test_the_contract(defined: Cluster, fact: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See the fact."""
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    async with on_a_server(tmp_path) as world:
        await fact(world)
