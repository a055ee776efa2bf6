"""Conversations: which process continues which history, what a request's options become, and one answer read whole.

It knows requests, processes and the pool that lends them. It does not know how a request came in, who may ask, or
what is done with the answer; it raises one family of errors and keeps nothing on disk that must last.
"""
