"""Training on a GPU: run by make test-gpu where there is one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from headrace.api.compression import Compression
from headrace_workers.faults import Interrupted
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import OPTIMIZER, WEIGHTS, Checkpoints
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.choose import exchange_of
from headrace_workers.train.dataset import LoadedDataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import FitResult
from tests.workers.train.builders import blobs, train_spec
from tests.workers.train.sequences import NEXT, sequences
from tests.workers.train.threads import wires_of_threads

pytestmark = pytest.mark.gpu
RANKS = 3
METHODS: dict[str, dict[str, Any]] = {
    "none": {}, "bf16": {}, "int8": {}, "int4": {}, "powerSgd": {"warmupSteps": 1},
    "topK": {"fraction": 0.05, "warmupSteps": 2}, "diLoCo": {}, "sparseLoCo": {},
}  # fmt: skip


def exchanges(method: str, wires: list[Wire]) -> list[GradientExchange]:
    compression = Compression.model_validate({method: METHODS.get(method, {})})
    return [exchange_of(compression, len(wires), rank, 0, wire, 0.9) for rank, wire in enumerate(wires)]


def gradients(device: str, step: int, rank: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A matrix and a bias in one bucket."""
    random = torch.Generator().manual_seed(step * 10 + rank)
    flat = torch.randn(96 * 128 + 70, generator=random).to(device)
    return flat, {"weight": flat[: 96 * 128].view(96, 128), "bias": flat[96 * 128 :]}


def averages(device: str, ranks: list[GradientExchange], steps: range) -> list[torch.Tensor]:
    """What comes out on the first rank at each step; on all others there are the same bits."""

    # Loaded here: threads that load it at once disturb each other.
    torch.linalg.qr(torch.eye(2, device=device))

    def one(rank: int) -> list[torch.Tensor]:
        out = []
        for step in steps:
            flat, named = gradients(device, step, rank)
            ranks[rank].step = step
            ranks[rank].exchange(flat, named)
            out.append(flat.cpu())
        return out

    with ThreadPoolExecutor(len(ranks)) as pool:
        results = list(pool.map(one, range(len(ranks))))
    assert all(torch.equal(mine, first) for other in results for mine, first in zip(other, results[0], strict=True))
    return results[0]


@pytest.mark.parametrize("method", METHODS)
def test_gradients_come_out_as_on_the_cpu(method: str) -> None:
    """Three ranks on one GPU: the same bits on all, and what the CPU gives but for rounding."""
    there = averages("cuda", exchanges(method, wires_of_threads(RANKS)), range(1, 6))
    here = averages("cpu", exchanges(method, wires_of_threads(RANKS)), range(1, 6))
    for mine, theirs in zip(there, here, strict=True):
        assert (mine - theirs).norm() < 0.01 * theirs.norm()


@pytest.mark.parametrize("method", METHODS)
def test_an_exchange_goes_on_from_its_saved_state(method: str) -> None:
    """Saved on a GPU, read to the CPU and put back: the same bits as without a break."""
    whole = averages("cuda", exchanges(method, wires_of_threads(RANKS)), range(1, 7))[-1]
    first, second = (exchanges(method, wires_of_threads(RANKS)) for _ in range(2))
    averages("cuda", first, range(1, 4))
    for old, new in zip(first, second, strict=True):
        new.restore({name: each.cpu().to("cuda") for name, each in old.state().items()})
    assert torch.equal(averages("cuda", second, range(4, 7))[-1], whole)


def test_the_time_of_a_gpu_is_counted() -> None:
    """Encoding is timed until it is done, not until it is asked for: 64 million values take a while."""
    (exchange,) = exchanges("int4", wires_of_threads(1))
    flat = torch.randn(2**26, device="cuda")
    exchange.exchange(flat, {"weight": flat.view(2**13, -1)})
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before = exchange.encoding_seconds
    began.record()
    exchange.exchange(flat, {"weight": flat.view(2**13, -1)})
    ended.record()
    torch.cuda.synchronize()
    assert exchange.encoding_seconds - before > 0.5 * began.elapsed_time(ended) / 1000


@pytest.fixture(scope="module")
def nccl() -> Iterator[None]:
    """A group of one rank: NCCL takes no second one on the same GPU."""
    torch.cuda.set_device(0)
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_nccl_carries_every_method(nccl: None, method: str) -> None:
    """Its collectives take the types and shapes that are sent."""
    (exchange,) = exchanges(method, [Wire()])
    out = averages("cuda", [exchange], range(1, 5))
    total = sum(gradients("cpu", step, 0)[0] for step in range(1, 5))
    left = exchange.owed().get("weight", torch.zeros(1)).cpu().reshape(-1)
    if method in ("none", "bf16", "int8", "int4", "powerSgd", "auto"):
        lost = sum(out)[: 96 * 128] + left - total[: 96 * 128]
        assert lost.norm() < 0.01 * total.norm()
    assert all(each.isfinite().all() for each in out)


def train(
    folder: Path, device: str, stop_at: int | None = None, data: LoadedDataset | None = None, **changes: Any
) -> FitResult:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return stop_at is not None and asked >= stop_at

    return fit(
        train_spec(**changes), data or blobs(), Folder(f"file://{folder}"), group=Group(device=device),
        on_progress=lambda _: None, should_stop=should_stop,
    )  # fmt: skip


def last_tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert checkpoint
    return {**checkpoint.tensors(WEIGHTS), **checkpoint.tensors(OPTIMIZER)}


def test_a_network_learns_on_a_gpu_what_it_learns_on_the_cpu(tmp_path: Path) -> None:
    """Without dropout, which draws other numbers there."""
    plain = {
        "model": {"builtin": "Perceptron", "parameters": {"hidden": 32, "layers": 1, "dropout": 0.0}},
        "epochs": 15,
    }
    here, there = train(tmp_path / "cpu", "cpu", **plain), train(tmp_path / "cuda", "cuda", **plain)
    assert there.metrics["accuracy"] > 0.9
    assert there.metrics == pytest.approx(here.metrics, rel=0.01)


def test_an_interrupted_run_on_a_gpu_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Stopped, saved and resumed: the weights and the optimizer's state of one that was not."""
    whole = train(tmp_path / "whole", "cuda")
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", "cuda", stop_at=2)
    parts = train(tmp_path / "parts", "cuda")
    assert parts.resumed_from and parts.resumed_from < whole.step
    one, other = last_tensors(tmp_path / "whole"), last_tensors(tmp_path / "parts")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["BFloat16", "Float16"])
def test_a_network_learns_on_a_gpu_in_less_precision(tmp_path: Path, precision: str, *, compiled: bool) -> None:
    """As well, in micro-batches with clipped gradients; what is saved is float32, under the network's own names."""
    changes = {"precision": precision, "compile": compiled, "microBatchSize": 16, "gradientClipping": {"maxNorm": 1.0}}
    assert train(tmp_path, "cuda", epochs=15, **changes).metrics["accuracy"] > 0.9
    weights = {name: each for name, each in last_tensors(tmp_path).items() if "/" not in name}
    assert sorted(weights) == ["1.bias", "1.weight", "4.bias", "4.weight"]
    assert {each.dtype for each in weights.values()} == {torch.float32}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_run_in_float16_on_a_gpu_ends_with_the_same_bits(tmp_path: Path, *, compiled: bool) -> None:
    """Stopped and resumed, after steps that were skipped."""
    loud = {"model": {"module": "tests.workers.train.user_models:loud"}, "precision": "Float16", "compile": compiled}
    whole = train(tmp_path / "whole", "cuda", **loud)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", "cuda", stop_at=2, **loud)
    parts = train(tmp_path / "parts", "cuda", **loud)
    assert parts.resumed_from and parts.resumed_from < whole.step
    one, other = last_tensors(tmp_path / "whole"), last_tensors(tmp_path / "parts")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_activations_are_computed_twice_on_a_gpu(tmp_path: Path) -> None:
    """The same bits as with all of them kept, dropout and BFloat16 included."""
    plain = {
        "model": {"module": "tests.workers.train.user_models:blocks", "parameters": {"blocks": 3}},
        "precision": "BFloat16",
    }
    train(tmp_path / "once", "cuda", **plain)
    train(tmp_path / "twice", "cuda", **plain, activationCheckpointing={"modules": ["blocks"]})
    one, other = last_tensors(tmp_path / "once"), last_tensors(tmp_path / "twice")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["Float32", "BFloat16", "Float16"])
def test_a_users_own_loop_learns_on_a_gpu(tmp_path: Path, precision: str) -> None:
    """In micro-batches and with a schedule, in every precision."""
    own = {
        "loop": {"module": "tests.workers.train.user_loops:plain"},
        "optimizer": {"learningRate": 0.01, "schedule": {"warmupSteps": 5}},
    }
    result = train(tmp_path, "cuda", epochs=15, microBatchSize=16, precision=precision, **own)
    assert result.step == 60 and result.metrics["accuracy"] > 0.9


@pytest.mark.parametrize("precision", ["Float32", "BFloat16", "Float16"])
def test_a_language_model_learns_on_a_gpu_what_it_learns_on_the_cpu(tmp_path: Path, precision: str) -> None:
    """What comes next, in every precision."""
    here = train(tmp_path / "cpu", "cpu", data=sequences(), epochs=6, **NEXT)
    there = train(tmp_path / "cuda", "cuda", data=sequences(), epochs=6, precision=precision, **NEXT)
    assert there.metrics["perplexity"] == pytest.approx(here.metrics["perplexity"], rel=0.02)
