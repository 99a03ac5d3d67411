"""Two ranks that really talk, over gloo: started once, told to do all that the tests below look at."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from headrace.api.compression import BFloat16, Compression, PowerSgd, Quantized, Uncompressed
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.compression.choose import exchange_of
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import Snapshot
from tests.workers.train.builders import blobs, train_spec
from tests.workers.train.pods import free_port

METHODS = {
    "none": Compression(none=Uncompressed()),
    "bf16": Compression(bf16=BFloat16()),
    "int8": Compression(int8=Quantized()),
    "int4": Compression(int4=Quantized(block=64)),
    "power_sgd": Compression(power_sgd=PowerSgd(rank=2, warmup_steps=0)),
}
POWER_SGD = {"powerSgd": {"rank": 2, "warmupSteps": 2}}
RESUMED: dict[str, Any] = {
    "diLoCo": {"diLoCo": {"localSteps": 4}},
    "sparseLoCo": {"sparseLoCo": {"localSteps": 4}},
    "topK": {"topK": {"fraction": 0.05, "warmupSteps": 3}},
}
INT4 = {"int4": {"block": 64}}
WIDE = {"builtin": "Perceptron", "parameters": {"hidden": 64, "layers": 2}}


def gradient(rank: int) -> torch.Tensor:
    """A rank's own gradient of a 64 x 32 matrix."""
    return torch.randn(64, 32, generator=torch.Generator().manual_seed(10 + rank))


def averaged(compression: Compression, rank: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    exchange = exchange_of(compression, 2, rank, seed=0)
    matrix = gradient(rank)
    exchange.step = 1
    exchange.exchange(matrix.view(-1), {"weight": matrix})
    return matrix, exchange.state().get("error/weight")


def trained(rank: int, folder: str, stop_at: int = 0, **changes: Any) -> dict[str, Any]:
    """Trains with both ranks; with `stop_at`, rank 1 wants a stop from that step on and then both resume."""
    group = Group(rank, 2)
    spec = train_spec(**changes)
    seen = {"step": 0}

    def hear(snapshot: Snapshot) -> None:
        seen["step"] = snapshot.step

    asked = iter(range(1, 10_000))
    interrupted = False
    try:
        result = fit(
            spec, blobs(), Folder(folder), group=group, on_progress=hear,
            should_stop=lambda: bool(stop_at) and rank == 1 and next(asked) >= stop_at,
        )  # fmt: skip
    except Interrupted:
        interrupted = True
        dist.barrier()
        result = fit(spec, blobs(), Folder(folder), group=group, on_progress=hear, should_stop=lambda: False)
    dist.barrier()
    store = Checkpoints(Folder(f"{folder}/checkpoints"))
    checkpoint = store.newest()
    assert checkpoint
    return {
        "interrupted": interrupted,
        "result": result,
        "weights": checkpoint.tensors(WEIGHTS),
        "files": sorted(checkpoint.state.files),
        "roll_backs": [(each.from_step, each.to_step) for each in store.roll_backs()],
    }


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    done: dict[str, Any] = {name: averaged(method, rank) for name, method in METHODS.items()}
    plain = {"epochs": 2, "model": WIDE}
    done["whole"] = trained(
        rank, f"file://{folder}/whole", **plain, loss={"crossEntropy": {"classWeights": "Balanced"}}
    )
    done["psgd"] = trained(rank, f"file://{folder}/psgd", **plain, compression=POWER_SGD)
    done["resumed"] = trained(rank, f"file://{folder}/resumed", **plain, compression=POWER_SGD, stop_at=3)
    done["int4 whole"] = trained(rank, f"file://{folder}/int4", **plain, compression=INT4)
    for name, compression in RESUMED.items():
        done[f"{name} whole"] = trained(rank, f"file://{folder}/{name}", **plain, compression=compression)
        done[f"{name} resumed"] = trained(rank, f"file://{folder}/{name}-resumed", **plain, compression=compression, stop_at=1)  # fmt: skip
    exploding = {**plain, "epochs": 10, "model": {"module": "tests.workers.train.user_models:explodes_once"}}
    back = {
        "recovery": {"onDivergence": {"rollBack": {}}},
        "compression": {"topK": {"fraction": 0.2, "warmupSteps": 3}},
    }
    done["back"] = trained(rank, f"file://{folder}/back", **exploding, **back)
    done["int4 resumed"] = trained(rank, f"file://{folder}/int4-resumed", **plain, compression=INT4, stop_at=3)
    try:
        trained(rank, f"file://{folder}/fault", model={"module": "tests.workers.train.user_models:fails_in_step_3"})
    except RunFault as fault:
        done["fault"] = (fault.reason, fault.message)
    torch.save(done, f"{folder}/rank-{rank}.pt")
    # A rank that failed in its forward pass leaves collectives open that a tidy end would wait for.
    os._exit(0)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank saw."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(work, args=(free_port(), str(folder)), nprocs=2)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]


EXACT = (gradient(0) + gradient(1)) / 2


def test_uncompressed_is_the_exact_average(ranks: list[dict[str, Any]]) -> None:
    """Without compression both ranks get the average."""
    assert all(torch.allclose(rank["none"][0], EXACT) for rank in ranks)


def test_bf16_is_the_average_to_three_digits(ranks: list[dict[str, Any]]) -> None:
    """bfloat16 errs by less than a hundredth of the largest entry."""
    assert all((rank["bf16"][0] - EXACT).abs().max() < 0.01 * EXACT.abs().max() for rank in ranks)


@pytest.mark.parametrize(("method", "close"), [("int8", 0.01), ("int4", 0.15)])
def test_integers_are_near_the_average(ranks: list[dict[str, Any]], method: str, close: float) -> None:
    """Within a level and a half of the largest entry of a block."""
    assert all((rank[method][0] - EXACT).abs().max() < close * EXACT.abs().max() * 1.5 for rank in ranks)


@pytest.mark.parametrize("method", ["power_sgd", "int8", "int4"])
def test_an_approximation_is_the_same_on_all_ranks(ranks: list[dict[str, Any]], method: str) -> None:
    """Both ranks get the same bits: replicas cannot drift apart."""
    assert torch.equal(ranks[0][method][0], ranks[1][method][0])


def test_what_power_sgd_misses_is_kept_as_error(ranks: list[dict[str, Any]]) -> None:
    """The approximation plus the mean of the ranks' errors is the exact average."""
    errors = (ranks[0]["power_sgd"][1] + ranks[1]["power_sgd"][1]) / 2
    assert torch.allclose(ranks[0]["power_sgd"][0] + errors, EXACT, atol=1e-5)


def test_uneven_shares_weigh_what_they_hold(ranks: list[dict[str, Any]], tmp_path: Path) -> None:
    """Batches of 33 and of 2 over two ranks, with class weights, train what one rank trains."""
    spec = train_spec(epochs=2, model=WIDE, loss={"crossEntropy": {"classWeights": "Balanced"}})
    alone = fit(
        spec,
        blobs(),
        Folder(f"file://{tmp_path}"),
        group=Group(),
        on_progress=lambda _: None,
        should_stop=lambda: False,
    )
    weights = Checkpoints(Folder(f"file://{tmp_path}/checkpoints")).newest().tensors(WEIGHTS)  # type: ignore[union-attr]
    assert all(
        torch.allclose(weights[name], tensor, atol=2e-5) for name, tensor in ranks[0]["whole"]["weights"].items()
    )
    assert ranks[0]["whole"]["result"].metrics["loss"] == pytest.approx(alone.metrics["loss"], abs=1e-4)


@pytest.mark.parametrize(
    ("uninterrupted", "stopped"),
    [("psgd", "resumed"), ("int4 whole", "int4 resumed"), *((f"{name} whole", f"{name} resumed") for name in RESUMED)],
)
def test_all_ranks_stop_together_and_resume_with_the_same_bits(
    ranks: list[dict[str, Any]], uninterrupted: str, stopped: str
) -> None:
    """A stop that only rank 1 wants interrupts both; the resumed run, the method's state included, ends like the whole one."""
    assert all(rank[stopped]["interrupted"] for rank in ranks)
    whole, resumed = ranks[0][uninterrupted]["weights"], ranks[0][stopped]["weights"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_all_ranks_roll_back_together(ranks: list[dict[str, Any]]) -> None:
    """They agree on it, and end with the same bits; what compression owed is as it was saved, and not what it was made of."""
    assert [rank["back"]["roll_backs"] for rank in ranks] == [[(30, 28)], [(30, 28)]]
    assert all(rank["back"]["result"].step == 40 for rank in ranks)
    assert all(tensor.isfinite().all() for tensor in ranks[0]["back"]["weights"].values())
    assert ranks[0]["back"]["result"].metrics["accuracy"] > 0.5


def test_every_rank_saves_its_own_errors(ranks: list[dict[str, Any]]) -> None:
    """A checkpoint of a compressed run has one file of compression state for each rank."""
    assert [name for name in ranks[0]["psgd"]["files"] if "compression" in name] == [
        "compression-00000.safetensors",
        "compression-00001.safetensors",
    ]


def test_traffic_says_what_compression_saved(ranks: list[dict[str, Any]]) -> None:
    """A compressed run counts fewer bytes than it would have sent, an uncompressed one as many."""
    saved, whole = ranks[0]["psgd"]["result"].traffic, ranks[0]["whole"]["result"].traffic
    assert 0 < saved.bytes_sent < saved.bytes_uncompressed
    assert whole.bytes_sent == whole.bytes_uncompressed > 0
    assert saved.residual_norm and whole.residual_norm is None


def test_a_model_that_raises_is_told_from_a_lost_peer(ranks: list[dict[str, Any]]) -> None:
    """The user's exception is ModelFailed with its file, line and step."""
    reason, message = ranks[0]["fault"]
    assert reason == "ModelFailed"
    assert "ValueError: no more" in message and "user_models.py:" in message and "step 3" in message
