"""Editors and notebooks: a Pygments lexer, a TextMate grammar, a language server, and the cell magic `%%ppl`."""
