"""`python -m lsm.cli` is the command `lsm`."""

from lsm.cli.main import main

main()
