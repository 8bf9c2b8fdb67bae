"""`python -m interleaf`: the command line."""

from interleaf.cli import main

if __name__ == "__main__":
    main()
