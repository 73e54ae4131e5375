"""The .ppl language: files of models, guides and objectives. Nothing here runs a model, and reading or checking
a file loads neither torch nor numpy.
"""
