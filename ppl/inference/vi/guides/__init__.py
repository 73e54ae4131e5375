"""Automatic guides: for a bound model a guide program whose text can be read, saved and edited."""

from ppl.inference.vi.guides import flows
from ppl.inference.vi.guides.amortised import amortised
from ppl.inference.vi.guides.delta import delta
from ppl.inference.vi.guides.flow import flow
from ppl.inference.vi.guides.laplace import laplace
from ppl.inference.vi.guides.mean_field import mean_field
from ppl.inference.vi.guides.mixture import mixture
from ppl.inference.vi.guides.normal import full_rank, low_rank
from ppl.inference.vi.guides.pathfinder import pathfinder
from ppl.inference.vi.guides.structured import mix, structured
from ppl.inference.vi.guides.text import source

__all__ = [
    "amortised",
    "delta",
    "flow",
    "flows",
    "full_rank",
    "laplace",
    "low_rank",
    "mean_field",
    "mix",
    "mixture",
    "pathfinder",
    "source",
    "structured",
]
