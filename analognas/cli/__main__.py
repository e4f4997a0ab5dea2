"""``python -m analognas.cli``."""

from analognas.cli import main

main()
