"""What the bundle's host starts: the server over standard input and output."""

import sys

from claude_max_mcp.__main__ import main

sys.argv = ["claude-max", "serve", "--transport", "stdio"]
main()
