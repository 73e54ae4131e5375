"""Rewrites of the Graph, one a file. `PASSES` names the optional ones: leaving one out never changes a
result.
"""

PASSES = ("reroll", "simplify", "distribute", "contract", "fold")
