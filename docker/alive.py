"""Exit with 0 if the server in this container is alive; for Docker's health check, without a library or a token."""

import socket
import sys

PORT = 47291
PATIENCE = 4.0
"""Seconds for each step; Docker gives up after five."""

with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as server:
    server.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
    status = server.recv(64).partition(b"\r\n")[0]
print(status.decode(errors="replace"))  # noqa: T201
sys.exit(b" 200 " not in status + b" ")
