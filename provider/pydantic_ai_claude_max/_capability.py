"""The capability: `custom:` names for one agent, by Pydantic AI's own hook."""

from dataclasses import KW_ONLY, dataclass, field

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.models import Model, ModelResolutionContext
from pydantic_ai.tools import AgentDepsT

from ._model import ClaudeMaxModel
from ._provider import ClaudeMaxProvider
from ._strings import parse_name


@dataclass
class ClaudeMax(AbstractCapability[AgentDepsT]):
    """Lets an agent name its model: `Agent("custom:max-subscription", capabilities=[ClaudeMax()])`.

    Models are named `custom:` or `claude-max:` and a name that `ClaudeMaxModel` takes. Other names are left
    to Pydantic AI.
    """

    base_url: str | None = None
    """The server's MCP endpoint; `CLAUDE_MAX_URL` or `http://127.0.0.1:47291/mcp` by default."""
    _: KW_ONLY
    token: str | None = field(default=None, repr=False)
    """The token that the server was started with; `CLAUDE_MAX_TOKEN` by default."""
    _provider: ClaudeMaxProvider = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._provider = ClaudeMaxProvider(self.base_url, token=self.token)

    async def resolve_model_id(self, ctx: ModelResolutionContext[AgentDepsT], *, model_id: str) -> Model | None:
        name = parse_name(model_id)
        return None if name is None else ClaudeMaxModel(name, provider=self._provider)
