"""The standard library of the language: models, guides, objectives and priors, importable as `ppl.std`.

Most of it is written in `.ppl`; a Python module stands here only where a neural network is needed.
"""
