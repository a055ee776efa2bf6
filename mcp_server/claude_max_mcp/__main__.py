"""`python -m claude_max_mcp` and the command `claude-max`."""

from claude_max_mcp.terminal.commands import app


def main() -> None:
    """Run the command line."""
    app(prog_name="claude-max")


if __name__ == "__main__":
    main()
