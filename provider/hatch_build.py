"""The extra `embedded`: the server's package of the very same version, as `_embedded` uses its internals."""

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class EmbeddedExtra(MetadataHookInterface):
    """Adds the extra once the version is known; a table in `pyproject.toml` would repeat the number."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["optional-dependencies"] = {"embedded": [f"claude-max-mcp=={metadata['version']}"]}
