"""MCP and HTTP: who comes in, in which form, and how answers go out.

It knows the wire formats, tokens, hosts and connections, and calls the service. It does not know processes or
conversations, and decides nothing about an answer.
"""
