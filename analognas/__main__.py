"""`python -m analognas` is the command line."""

from analognas.cli import main

main()
