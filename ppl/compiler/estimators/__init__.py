"""Unbiased gradient estimators of expectations: how a random choice carries a derivative."""
