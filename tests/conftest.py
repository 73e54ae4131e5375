"""What every test runs under: one thread, fixed seeds, no window, torch's global state put back after."""

import atexit
import os
import shutil
import tempfile

# Before torch and matplotlib are imported: each reads its setting once, at import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PPL_CACHE_DIR" not in os.environ:  # machine code of the tests, shared by the workers, gone after them
    os.environ["PPL_CACHE_DIR"] = tempfile.mkdtemp(prefix="ppl-tests-")
    atexit.register(shutil.rmtree, os.environ["PPL_CACHE_DIR"], ignore_errors=True)

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

# A contended thread pool makes small tensors slower by orders of magnitude.
torch.set_num_threads(1)

# derandomize: the same examples every time. No deadline: compiling is slow on its first call only.
settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Looking for new counterexamples: pytest --hypothesis-profile=search
settings.register_profile("search", settings.get_profile("fixed"), derandomize=False, max_examples=2000)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def torch_state() -> Iterator[None]:
    """Seed torch, and fail the test that leaves another default dtype or grad mode behind."""
    torch.manual_seed(0)
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    yield
    left = torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    assert left == (dtype, grad), (
        f"left torch's (default dtype, grad mode) at {left}, found it at {(dtype, grad)}"
    )
