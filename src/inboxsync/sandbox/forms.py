"""The body of a POST: parameters, in either of the encodings that forms have."""

from email import message_from_bytes
from email.message import Message
from urllib.parse import parse_qsl


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Name to value; files, and what is no form, are ignored."""
    match content_type.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        case "multipart/form-data":
            head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
            return _read_parts(message_from_bytes(head + body))
    return {}


def _read_parts(form: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in form.walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and part.get_filename() is None and isinstance(value, bytes):
            found[name] = value.decode("utf-8", "replace")
    return found
