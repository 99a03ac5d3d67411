"""Where tests of numbers run: on the CPU, and by make test-gpu on a GPU too."""

import pytest

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
