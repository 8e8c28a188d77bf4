"""`python -m billfold`."""

from billfold.cli import main

main()
