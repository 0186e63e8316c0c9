#!/usr/bin/env python3
"""Compares the endpoint table of the gate with the request types of the installed SDKs.

    target/clients/python/bin/python examples/proxy/tests/clients/endpoints.py

Each top-level member, each nested member that may refer to a stored object, each tool type and each item type must be
decided: in endpoints.json, or below with a reason. A new version of an SDK fails here until its new names are decided.
"""

import fnmatch
import json
import pathlib
import sys
import typing

import anthropic.types as anthropic
import anthropic.types.beta as anthropic_beta
import openai.types as openai
import openai.types.chat as chat
import openai.types.responses as responses
import typing_extensions

ROOT = pathlib.Path(__file__).parents[4]
TABLE = json.loads((ROOT / "src/proxy_keys/gate/endpoints.json").read_text())

REQUEST_TYPES = {
    "/v1/chat/completions": [chat.completion_create_params.CompletionCreateParams],
    "/v1/completions": [openai.completion_create_params.CompletionCreateParams],
    "/v1/responses": [responses.response_create_params.ResponseCreateParams],
    "/v1/responses/compact": [responses.response_compact_params.ResponseCompactParams],
    "/v1/embeddings": [openai.EmbeddingCreateParams],
    "/v1/moderations": [openai.ModerationCreateParams],
    "/v1/images/generations": [openai.ImageGenerateParams],
    "/v1/messages": [
        anthropic.message_create_params.MessageCreateParams,
        anthropic_beta.message_create_params.MessageCreateParams,
    ],
    "/v1/messages/count_tokens": [anthropic.MessageCountTokensParams, anthropic_beta.MessageCountTokensParams],
}

TOOL_TYPES = {
    "openai_chat": [chat.ChatCompletionToolUnionParam],
    "openai_responses": [responses.ToolParam],
    "anthropic": [anthropic.ToolUnionParam, anthropic_beta.BetaToolUnionParam],
}

# Parameters of an SDK's function that become headers. They are not on the list of request headers.
HEADERS = {"betas", "user_profile_id", "workspace_id"}

# Members whose names look like those of references, with the reason why they pass.
PASSING = {
    "call_id": "joins a call and its output in the same request",
    "caller_id": "names a call in the same request",
    "continuation_id": "an opaque text; background_options is refused",
    "download_id": "names a download in the same request",
    "file": "contains file_data or file_id",
    "file_url": "a public URL",
    "id": "names an item, a call or a block in the same request; voice.id is refused",
    "image_url": "a public URL or data",
    "skills": "a list of skill_id or inline skills",
    "source": "data or a public URL; source.type \"file\" is refused",
    "tab_id": "names a tab in the same request",
    "thread": "restricted at the top level",
    "tool_call_id": "joins a call and its output in the same request",
    "tool_id": "names a call in the same request",
    "tool_use_id": "joins a call and its output in the same request",
    "url": "a public URL or data",
    "user_id": "an opaque text in metadata",
    "fallback_credit_token": "restricted at the top level",
    "prompt": "a text, or restricted at the top level",
    "token": "in fallback_credit_token, which is restricted at the top level",
}

# Members beside the top-level "tools" that contain tools, with the rule that refuses them.
TOOLS_ELSEWHERE = {
    "AdditionalTools.tools": "the item type is refused",
    "ResponseInputItemAdditionalTools.tools": "the item type is refused",
    "ResponseToolSearchOutputItemParamParam.tools": "the item type is refused",
    "BetaToolChangeToolDefinitionParam.definition": "tool.definition is refused",
}

REFERENCE_SUFFIXES = ("_id", "_ids", "_url", "_token")
REFERENCE_NAMES = {
    "authorization", "connector", "container", "conversation", "definition", "file", "id", "mcp_server_name",
    "mcp_servers", "prompt", "skills", "source", "thread", "token", "url",
}


def direct_types(annotation):
    """Yields the typed dictionaries in an annotation, without those in their members."""
    if isinstance(annotation, typing_extensions.TypeAliasType):
        yield from direct_types(annotation.__value__)
    elif typing_extensions.is_typeddict(annotation):
        yield annotation
    else:
        for argument in typing_extensions.get_args(annotation):
            yield from direct_types(argument)


def members(dictionary):
    return typing_extensions.get_type_hints(dictionary)


def nested_types(roots):
    """Returns all typed dictionaries below the roots."""
    found, waiting = [], [inner for root in roots for value in members(root).values() for inner in direct_types(value)]
    while waiting:
        dictionary = waiting.pop()
        if dictionary not in found:
            found.append(dictionary)
            waiting += [inner for value in members(dictionary).values() for inner in direct_types(value)]
    return found


def literals(annotation):
    if typing_extensions.get_origin(annotation) is typing.Literal:
        return set(typing_extensions.get_args(annotation))
    return {text for argument in typing_extensions.get_args(annotation) for text in literals(argument)}


def type_names(unions):
    """Returns the literals of the members "type" in unions of typed dictionaries."""
    dictionaries = {inner for union in unions for inner in direct_types(union)}
    return {text for dictionary in dictionaries for text in literals(members(dictionary).get("type"))}


def is_listed(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def undecided_members(path, roots):
    row = next(row for row in TABLE["endpoints"] if row["path"] == path)
    decided = {*row["accepted"], *row.get("restricted", {}), *HEADERS}
    return {name for root in roots for name in members(root)} - decided


def undecided_references(dictionaries):
    refused = {reference.rsplit(".")[-1] for reference in TABLE["references"]["refused"]}
    names = {name for dictionary in dictionaries for name in members(dictionary)}
    like_references = {name for name in names if name.endswith(REFERENCE_SUFFIXES) or name in REFERENCE_NAMES}
    return like_references - refused - PASSING.keys()


def undecided_tools(name, unions):
    rules = TABLE["tools"][name]
    patterns = [*rules["client"], *rules.get("hosted", []), *rules.get("refused", {})]
    return {tool for tool in type_names(unions) if not is_listed(tool, patterns)}


def undecided_items():
    decided = TABLE["items"]["accepted"].keys() | TABLE["items"]["refused"].keys()
    return type_names([responses.ResponseInputItemParam, responses.ResponseInputParam]) - decided


def undecided_tool_lists(dictionaries):
    """Returns the members below the top level that may contain a tool that the provider runs."""
    unions = [union for unions in TOOL_TYPES.values() for union in unions]
    hosted = {
        inner for union in unions for inner in direct_types(union)
        if not literals(members(inner).get("type")) & {"function", "custom"}
    }
    found = {
        f"{dictionary.__name__}.{name}"
        for dictionary in dictionaries
        for name, value in members(dictionary).items()
        if hosted & set(direct_types(value))
    }
    return found - TOOLS_ELSEWHERE.keys()


def main():
    roots = {path: [inner for union in unions for inner in direct_types(union)] for path, unions in REQUEST_TYPES.items()}
    dictionaries = nested_types([root for path_roots in roots.values() for root in path_roots])
    checks = {f"members of {path}": undecided_members(path, path_roots) for path, path_roots in roots.items()}
    checks |= {f"tools of {name}": undecided_tools(name, unions) for name, unions in TOOL_TYPES.items()}
    checks["items of input"] = undecided_items()
    checks["members that may be references"] = undecided_references(dictionaries)
    checks["members that contain tools"] = undecided_tool_lists(dictionaries)
    # Without these the types were not read.
    checks["names that must be there"] = {
        name for name, is_read in {
            "file_id": any("file_id" in members(dictionary) for dictionary in dictionaries),
            "item_reference": "item_reference" in type_names([responses.ResponseInputItemParam]),
            "web_search": "web_search" in type_names(TOOL_TYPES["openai_responses"]),
        }.items() if not is_read
    }
    for name, undecided in checks.items():
        print(f"FAIL {name}: not decided: {', '.join(sorted(undecided))}" if undecided else f"ok {name} are decided")
    sys.exit(1 if any(checks.values()) else 0)


if __name__ == "__main__":
    main()
