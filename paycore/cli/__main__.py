"""`python -m paycore.cli` runs the command `paycore` where the script is not on PATH."""

import sys

from paycore.cli.main import main

sys.exit(main())
