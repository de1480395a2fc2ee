"""`python -m operator_kit`: the same as the `operator-kit` script."""

from operator_kit.cli import main

if __name__ == "__main__":
    main()
