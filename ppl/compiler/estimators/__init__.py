"""Unbiased gradient estimators of objectives: what a random choice does to a derivative, and what is sound."""
