"""What takes long, or needs more than Python: `make test-slow`."""
