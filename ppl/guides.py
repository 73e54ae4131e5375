"""Automatic guides under their public name: `ppl.guides.mean_field(model(x).condition(y=y))`."""

from ppl.inference.vi.guides import *  # noqa: F403 (the room's __all__)
from ppl.inference.vi.guides import __all__ as __all__
