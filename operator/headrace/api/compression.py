"""How gradients travel between workers: one method, or `auto`, which measures and chooses."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Model, OneOf


class Uncompressed(Model):
    """Gradients travel as they are."""


class BFloat16(Model):
    """Gradients travel as bfloat16: half the bytes."""


class Quantized(Model):
    """Gradients travel as blockwise integers with error feedback."""

    block: Annotated[int, Field(ge=32, le=65_536, multiple_of=32, description="Elements that share a scale.")] = 512


class PowerSgd(Model):
    """Gradients travel as low-rank factors with error feedback (Vogels et al., 2019)."""

    rank: Annotated[int, Field(ge=1, le=256, description="The rank of the approximation.")] = 4
    warmup_steps: Annotated[
        int, Field(ge=0, le=1_000_000, description="Steps sent whole before compression starts.")
    ] = 10


class TopK(Model):
    """Only the largest entries travel (Lin et al., 2018)."""

    fraction: Annotated[float, Field(gt=0.0, le=1.0, description="The share of entries sent.")] = 0.01
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000, description="Steps over which the share shrinks to it.")] = (
        100
    )


class DiLoCo(Model):
    """Workers take local steps and exchange their sum (Douillard et al., 2023)."""

    local_steps: Annotated[int, Field(ge=1, le=10_000, description="Steps between two exchanges.")] = 32


class SparseLoCo(Model):
    """DiLoCo whose exchange is sparse and quantised (Sarfi et al., 2025)."""

    local_steps: Annotated[int, Field(ge=1, le=10_000, description="Steps between two exchanges.")] = 32
    fraction: Annotated[float, Field(gt=0.0, le=1.0, description="The share of entries sent.")] = 0.03


class LossPolicy(StrEnum):
    """What `auto` may do to the loss curve."""

    PRESERVE = "Preserve"
    RELAXED = "Relaxed"


class Auto(Model):
    """Measures compute and link, and picks a method; none is an answer."""

    loss: Annotated[
        LossPolicy, Field(description="Preserve: only methods that keep the uncompressed trajectory. Relaxed: all.")
    ] = LossPolicy.PRESERVE


class Compression(OneOf):
    """How gradients travel: exactly one of these."""

    none: Annotated[Uncompressed | None, Field(description="As they are.")] = None
    bf16: Annotated[BFloat16 | None, Field(description="As bfloat16.")] = None
    int8: Annotated[Quantized | None, Field(description="As 8-bit integers.")] = None
    int4: Annotated[Quantized | None, Field(description="As 4-bit integers.")] = None
    power_sgd: Annotated[PowerSgd | None, Field(description="As low-rank factors.")] = None
    top_k: Annotated[TopK | None, Field(description="As the largest entries.")] = None
    di_lo_co: Annotated[DiLoCo | None, Field(description="After local steps.")] = None
    sparse_lo_co: Annotated[SparseLoCo | None, Field(description="After local steps, sparse.")] = None
    auto: Annotated[Auto | None, Field(description="By measurement.")] = None
