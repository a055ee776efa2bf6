"""An MCP server through which one person's programs use their own Claude subscription, by the official CLI.

Packages, from the outside in; each imports only what stands to the right of it:

    terminal → standin → front → service → engine → {claude, pool}

The modules beside them are the words that all packages share: the contract (`wire`, `results`), the Messages API
(`messages`, `events`), the one error family (`errors`), names of models (`models`), settings, traces. They import no
package. A package's own docstring says what it knows and what it deliberately does not; `tests/test_architecture.py`
checks every import against the line above.
"""
