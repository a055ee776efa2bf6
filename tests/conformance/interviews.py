"""Fixtures that ask their caller for something before they answer, once or several times (2026-07-28).

In: the parameters of a call, with the answers so far. Out: what is still wanted, or None when all is there. What has
been asked travels with the caller as `requestState`, which the server has to seal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_types import (
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequest,
    InputRequiredResult,
    InputResponseRequestParams,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

Round = dict[str, InputRequest]


def form(message: str, **fields: str) -> ElicitRequest:
    """A form with fields of these JSON types, all needed."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, max_tokens: int = 100) -> CreateMessageRequest:
    """A question to the caller's model."""
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[asked], max_tokens=max_tokens))


@dataclass(frozen=True)
class Interview:
    """What to ask, in rounds.

    Args:
        rounds: each is asked until all of it is answered.
        stateful: whether the round is told to the caller, who has to bring it back.
        modest: whether only that is asked for which the caller is able.
    """

    rounds: Sequence[Round]
    stateful: bool = False
    modest: bool = False

    def next(self, params: InputResponseRequestParams, able: ClientCapabilities | None) -> InputRequiredResult | None:
        """What is to be asked now."""
        number = int(params.request_state or 0)
        if self.rounds[number].keys() <= (params.input_responses or {}).keys():
            number += 1
        if number == len(self.rounds):
            return None
        asked = {key: one for key, one in self.rounds[number].items() if not self.modest or _can(able, one)}
        return InputRequiredResult(input_requests=asked, request_state=str(number) if self.stateful else None)


def _can(able: ClientCapabilities | None, request: InputRequest) -> bool:
    match request:
        case CreateMessageRequest():
            return bool(able and able.sampling)
        case ElicitRequest():
            return bool(able and able.elicitation)
        case ListRootsRequest():
            return bool(able and able.roots)


_NAME: Round = {"user_name": form("What is your name?", name="string")}
_CONFIRM: Round = {"confirm": form("Please confirm", ok="boolean")}
_QUESTION: Round = {"capital_question": sample("What is the capital of France?")}
_ROOTS: Round = {"client_roots": ListRootsRequest()}
_STEPS: Sequence[Round] = (
    {"step1": form("Step 1: What is your name?", name="string")},
    {"step2": form("Step 2: What is your favorite color?", color="string")},
)

BY_TOOL: Mapping[str, Interview] = {
    "test_input_required_result_elicitation": Interview([_NAME]),
    "test_input_required_result_sampling": Interview([_QUESTION]),
    "test_input_required_result_list_roots": Interview([_ROOTS]),
    "test_input_required_result_request_state": Interview([_CONFIRM], stateful=True),
    "test_input_required_result_tampered_state": Interview([_CONFIRM], stateful=True),
    "test_input_required_result_multiple_inputs": Interview(
        [_NAME | _ROOTS | {"greeting": sample("Generate a greeting", 50)}], stateful=True
    ),
    "test_input_required_result_multi_round": Interview(_STEPS, stateful=True),
    "test_input_required_result_capabilities": Interview([_NAME | _QUESTION | _ROOTS], modest=True),
    "test_streaming_elicitation": Interview([_NAME]),
}

IN_A_PROMPT = Interview([{"user_context": form("What context should the prompt use?", context="string")}])
