"""Signed GitHub deliveries, small and each another happening."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from tidings.testing.server import Hook


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def push(serial: object, *, branch: str = "main") -> dict[str, Any]:
    """A push; every serial is another one."""
    return {
        "ref": f"refs/heads/{branch}",
        "before": sha(f"{serial}/before"),
        "after": sha(f"{serial}/after"),
        "repository": {"id": 1, "full_name": "octo/repo", "html_url": "https://github.com/octo/repo"},
        "sender": {"login": "octocat"},
        "commits": [],
        "compare": "https://github.com/octo/repo/compare/a...b",
    }


def issue(number: int) -> dict[str, Any]:
    return {
        "action": "opened",
        "issue": {
            "id": number,
            "number": number,
            "title": f"Issue {number}",
            "html_url": f"https://github.com/octo/repo/issues/{number}",
            "created_at": "2026-01-01T00:00:00Z",
        },
        "repository": {"id": 1, "full_name": "octo/repo"},
        "sender": {"login": "octocat"},
    }


def signature(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def signed(secret: str, body: bytes, *, event: str = "push", delivery: str = "") -> dict[str, str]:
    """The headers that GitHub sends."""
    return {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery or str(uuid.uuid4()),
        "x-hub-signature-256": signature(secret, body),
    }


async def send(
    client: httpx.AsyncClient,
    hook: Hook,
    payload: Mapping[str, Any],
    *,
    event: str = "push",
    delivery: str = "",
) -> httpx.Response:
    body = json.dumps(payload).encode()
    headers = signed(hook.secret, body, event=event, delivery=delivery)
    return await client.post(hook.path, content=body, headers=headers)
