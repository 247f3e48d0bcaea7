"""
The command line: one module per group of commands, one renderer, one table of exit codes.

Every import of something heavy stands in the function that needs it: `paycore show` loads neither typer nor httpx.
"""
