"""``python -m tinybase`` is the command line."""

from tinybase.cli import main

if __name__ == "__main__":
    main()
