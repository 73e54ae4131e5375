"""Variational inference: gradients of objectives, guides, and training."""
