"""`python -m billfold`."""

from billfold.cli import main

# Processes that make parts of a run import this module, too.
if __name__ == "__main__":
    main()
