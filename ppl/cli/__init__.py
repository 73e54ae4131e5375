"""The command line: `ppl run`, `check`, `fmt`, `explain`, `graph`. Each command is a file."""
