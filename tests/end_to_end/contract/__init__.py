"""What Pydantic AI expects of a first-class model, by two routes: over HTTP, and with the engine in this process.

The numbers in `@behaviour(n)` are those of the table in `behaviours.py`.
"""
