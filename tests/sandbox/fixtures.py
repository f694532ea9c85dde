"""What the fixtures of this directory give: a Graph API, asked with the standard library alone."""

import json
import os
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Protocol, TypeAlias
from urllib.parse import urlencode, urlsplit

from tests.fixtures import PATIENCE_SECONDS, Json

_VERSION = "v27.0"

# A parameter of a call; None is not sent.
Parameter: TypeAlias = str | int | None


@dataclass
class Answer:
    """One answer: status, headers, and the body as it came."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def json(self) -> Json:
        return json.loads(self.text)

    @property
    def data(self) -> list[Json]:
        assert self.status == 200, self.text
        data: list[Json] = self.json["data"]
        return data

    @property
    def paging(self) -> dict[str, Json]:
        paging: dict[str, Json] = self.json.get("paging", {})
        return paging

    @property
    def error(self) -> dict[str, Json]:
        error: dict[str, Json] = self.json["error"]
        return error


class Graph:
    """A Graph API by its address."""

    def __init__(self, ready: dict[str, Json]) -> None:
        self.url: str = ready["url"]
        self.token: str = ready["token"]
        self.ready = ready
        self.page_id: str = ready["page_id"]

    def get(self, path: str, **parameters: Parameter) -> Answer:
        """With the Page's token, unless another is given; None sends none."""
        given = {"access_token": self.token} | parameters
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return self.open(f"/{_VERSION}/{path}?{query}")

    def inbox(self, **parameters: Parameter) -> Answer:
        return self.get(f"{self.page_id}/conversations", **parameters)

    def open(
        self, url: str, *, method: str = "GET", body: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Exactly this URL."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc or urlsplit(self.url).netloc, timeout=PATIENCE_SECONDS)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def batch(self, *relative_urls: str, **parameters: str) -> Answer:
        items = [{"method": "GET", "relative_url": each} for each in relative_urls]
        form = urlencode({"access_token": self.token, "batch": json.dumps(items)} | parameters)
        return self.open(
            f"/{_VERSION}/",
            method="POST",
            body=form,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    def control(self, path: str, **asked: object) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self.open(f"/sandbox/{path}", method="POST", body=json.dumps(asked), headers=headers)

    def scan(self, **parameters: Parameter) -> list[Answer]:
        """Every answer of the list, by following `next` as it is."""
        answers = [self.inbox(**parameters)]
        while "next" in answers[-1].paging:
            assert len(answers) < 500
            answers.append(self.open(answers[-1].paging["next"]))
        return answers

    def insist(self, **parameters: Parameter) -> list[dict[str, Json]]:
        """Every entry, with repetitions, by keeping the cursor and repeating what failed."""
        entries: list[dict[str, Json]] = []
        cursor: dict[str, Parameter] = {}
        for _ in range(1000):
            answer = self._once(parameters | cursor)
            if answer is None:
                continue
            entries += answer["data"]
            paging = answer.get("paging", {})
            if "next" not in paging:
                return entries
            cursor = {"after": paging["cursors"]["after"]}
        raise AssertionError("the list has no end")

    def _once(self, parameters: dict[str, Parameter]) -> dict[str, Json] | None:
        try:
            body = self.inbox(**parameters).json
        except (ValueError, OSError):
            return None
        return body if isinstance(body, dict) and "data" in body else None


@dataclass
class Process:
    """A sandbox in a process of its own."""

    graph: Graph
    pid: int

    def memory_bytes(self) -> int:
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 - a kernel's file
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class StartGraph(Protocol):
    """The fixture `graph`: a sandbox with these switches of SandboxConfig, in a thread, behind HTTP."""

    def __call__(self, **switches: object) -> Graph: ...


class StartProcess(Protocol):
    """The fixture `process`: starts `inboxsync sandbox ...` and waits for its ready line."""

    def __call__(self, *switches: str) -> Process: ...
