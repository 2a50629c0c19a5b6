"""The `presel` command, a file per family of commands."""
