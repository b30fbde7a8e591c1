"""``python -m harness`` is the ``pooldrill`` command."""

from harness.cli import main

main()
