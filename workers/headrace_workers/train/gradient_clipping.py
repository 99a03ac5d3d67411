"""How long a gradient may be: all parameters' together, so that its direction stays (Pascanu et al., 2013)."""

import torch

EPSILON = 1e-6


def clip(gradient: torch.Tensor, max_norm: float) -> None:
    """Scales a vector down to `max_norm` where it is longer, as torch.nn.utils.clip_grad_norm_ does."""
    # In double precision: however many threads add up, ranks with the same gradient come to the same factor.
    norm = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    gradient.mul_((max_norm / (norm + EPSILON)).clamp(max=1.0).float())
