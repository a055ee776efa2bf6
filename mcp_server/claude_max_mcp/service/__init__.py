"""The service as a whole: it answers requests, keeps sessions, says how it is, and records what became of requests.

It knows the engine and everything that lasts longer than one request. It does not know MCP, HTTP or a terminal:
those call it, and turn its results into their own forms.
"""
