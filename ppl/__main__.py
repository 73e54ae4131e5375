"""`python -m ppl`: the command line."""

from ppl.cli.main import main

if __name__ == "__main__":
    main()
