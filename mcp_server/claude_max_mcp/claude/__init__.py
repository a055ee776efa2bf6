"""One unmodified `claude` process: how it starts, its protocol, its login, its files, its server of the caller's tools.

It knows everything that is true of the CLI and of one process. It does not know conversations, who waits for a
process, or how callers reach this server.
"""
