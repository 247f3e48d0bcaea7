"""
The command line: `main` is the entry point, `commands/` the commands, `render/` what they print, `endings` exit codes.

Slow imports are made in the function that needs them: `paycore show` loads neither typer nor httpx.
"""
