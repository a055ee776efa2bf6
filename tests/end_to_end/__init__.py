"""The provider, the server and the real CLI together."""
