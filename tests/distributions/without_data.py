"""What recording does to operators: they run on meta tensors, and reading a value is an error."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


class WithoutData(TorchDispatchMode):
    """Runs operators on meta tensors; constants (tensors with data) enter as shapes only."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = []
        tree_map(lambda a: tensors.append(a) if isinstance(a, torch.Tensor) else None, (args, kwargs))
        if any(a.is_meta for a in tensors):
            assert func is not torch.ops.aten._local_scalar_dense.default, "a value was read"

            def to_meta(a):
                return a.to("meta") if isinstance(a, torch.Tensor) and not a.is_meta else a

            args, kwargs = tree_map(to_meta, args), tree_map(to_meta, kwargs)
        return func(*args, **kwargs)
