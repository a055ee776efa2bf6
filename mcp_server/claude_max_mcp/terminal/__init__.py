"""People at a terminal: the commands, what they print, and the process that serves until a signal ends it.

It knows everything further in, since it puts the parts together. It does not serve as a library: nothing imports it.
"""
