"""Importing this module calls `enable()`: every agent may then name its model `custom:max-subscription`."""

from ._strings import enable

enable()
