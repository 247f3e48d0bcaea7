"""`python -m paycore.cli` is the command `paycore`, for where the script is not on the path."""

import sys

from paycore.cli.main import main

sys.exit(main())
