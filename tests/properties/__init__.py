"""Properties: what holds for everything that can be generated, of the modules that are pure.

`make mutants` breaks those modules, one line at a time, and expects these tests to notice.
"""
