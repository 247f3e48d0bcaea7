"""The commands as typer sees them: options and help; each loaded when its word is met."""
