"""Who runs, and on which process: places for requests, callers taking turns, warm workers lent once.

It knows of places, callers and workers that are slow to start. It does not know what a worker is, what is asked, or
that there is such a thing as Claude.
"""
