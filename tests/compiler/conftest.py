"""The compiler's tests run in float64, as programs do."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def float64(torch_state: None) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
