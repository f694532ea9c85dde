"""What hangs on a message: media, files, templates, shares, stickers (graph-facts 1.6)."""

from typing import Any

from inboxsync.sandbox.threads import Message, Thread

# Replaced by another signature in each answer: Meta signs media URLs again every time.
SIGNATURE = "SIGNATUREOFTHISANSWER"
_IN_THE_EU = "Media not available due to new privacy rules in Europe. Go to the inbox to see it."

Json = dict[str, Any]


def attachments(
    thread: Thread, message: Message, *, is_instagram: bool, is_sticker: bool = False
) -> Json | None:
    """A list of one; None if there is none. `is_sticker`: stickers are attachments, too."""
    number = str(651_000_000_000_000 + thread.slot * 1000 + message.ordinal)
    match message.kind:
        case "image":
            entry = _image(number, media_url(thread, message, "jpg"))
            if is_instagram and message.ordinal % 2:
                entry["image_data"] = {"url": entry["image_data"]["url"]}
        case "video":
            entry = _video(number, media_url(thread, message, "mp4"))
        case "file" if message.ordinal % 5 == 0:
            entry = {"id": number, "name": _IN_THE_EU}
        case "file":
            entry = {"id": number, "mime_type": "application/pdf", "name": "invoice 42/b.pdf", "size": 88_213}
            entry |= {"file_url": media_url(thread, message, "pdf")}
        case "share" if message.ordinal % 4 == 1 and not is_instagram:
            entry = _template(thread, message, number)
        case "share" if is_instagram_post(message, is_instagram=is_instagram):
            entry = _instagram_post(thread, message, number)
        case "sticker" if is_sticker and not is_instagram:
            entry = {"id": number, "type": "sticker", "sticker_id": str(369_239_000_000_000 + thread.slot)}
        case _:
            return None
    # One attachment, and still a `next`: following it leads nowhere (graph-facts 1.7).
    return {"data": [entry], "paging": {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}, "next": None}}


def is_instagram_post(message: Message, *, is_instagram: bool) -> bool:
    """Whether a share is a post of Instagram: an attachment, and no share (graph-facts 1.6-10)."""
    return is_instagram and message.kind == "share" and message.ordinal % 4 == 1


def shares(thread: Thread, message: Message) -> Json | None:
    """A shared link; its inner fields are served only if they are asked for."""
    if message.kind != "share":
        return None
    link = f"https://shop.example.com/p/{thread.slot}?v={message.ordinal}"
    return {"data": [{"link": link, "name": "A product", "description": "Red / large"}]}


def sticker(thread: Thread, message: Message) -> str | None:
    """The URL of its picture."""
    return media_url(thread, message, "png") if message.kind == "sticker" else None


def media_url(thread: Thread, message: Message, ending: str) -> str:
    """Signed, and only for a while."""
    name = f"{thread.slot}_{message.ordinal}.{ending}"
    return f"https://cdn.sandbox.invalid/v/t1/{name}?_nc_cat=1&oh={SIGNATURE}&oe=7f000000"


def _image(number: str, url: str) -> Json:
    image: Json = {"width": 1920, "height": 1213, "max_width": 1920, "max_height": 1213, "url": url}
    image |= {"preview_url": f"{url}&p=280", "image_type": 1, "render_as_sticker": False}
    named = {"id": number, "mime_type": "image/jpeg", "name": f"image-{number}", "size": None}
    return named | {"image_data": image}


def _video(number: str, url: str) -> Json:
    video: Json = {"width": 960, "height": 544, "length": 11, "video_type": 1, "rotation": 0}
    video |= {"url": url, "preview_url": url}
    named = {"id": number, "mime_type": "video/mp4", "name": f"video-{number}.mp4", "size": 1_994_148}
    return named | {"video_data": video}


def _instagram_post(thread: Thread, message: Message, number: str) -> Json:
    post: Json = {"id": number, "type": "ig_post", "title": "A product"}
    post |= {"ig_post_media_id": str(17_900_000_000_000_000 + thread.slot)}
    return post | {"url": media_url(thread, message, "jpg")}


def _template(thread: Thread, message: Message, number: str) -> Json:
    link = f"https://shop.example.com/p/{thread.slot}"
    template: Json = {"title": "A product", "subtitle": "Red / large"}
    # The reference spells the picture's key like this.
    template |= {"medial_url": media_url(thread, message, "jpg")}
    template |= {"cta": {"title": "Buy", "type": "open_url", "url": link}}
    return {"id": number, "generic_template": template}
