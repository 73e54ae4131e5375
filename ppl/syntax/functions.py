"""The functions of the language, by name: how each is computed. (What they take and give is in `check/`.)"""

from __future__ import annotations

import math

CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

ALIASES = {"inv_logit": "sigmoid", "logsumexp": "log_sum_exp"}
"""Other systems' names for ours."""
