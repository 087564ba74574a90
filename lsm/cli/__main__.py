"""`python -m lsm.cli` is the command `lsm`."""

from lsm.cli import main

main()
