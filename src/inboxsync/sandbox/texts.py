"""What the synthetic world's people write."""

from random import Random

_CUSTOMER = (
    "Hi, is this still available?",
    "Hello! Do you ship to Norway? 🚚",
    "Buenos días, ¿cuánto cuesta el envío?",
    "Tôi muốn đặt hai cái màu đỏ",
    "هل المنتج متوفر؟",
    "שלום, מתי אתם פתוחים?",
    "ราคาเท่าไหร่คะ",
    "いつ届きますか？",
    "什么时候发货？",
    "Когда вы открываетесь?",
    "My order number is 104-88213.\nIt has not arrived yet.\n\nCan you check?",
    "Thanks!! 😍😍",
    "ok",
    "👍",
    "Please call me on +47 912 34 567",
    "You can write to me at ann@example.com",
    "https://example.com/products/42?color=red&size=m",
    "I'd like a refund, the zip is broken 😕",
)
_PAGE = (
    "Hello, thanks for writing! How can we help?",
    "Yes, it is in stock.",
    "We have sent it today. 📦",
    "Gracias por su mensaje. Le respondemos en seguida.",
    "Our hours are 9:00-17:00, Monday to Friday.",
    "Could you send us a photo, please?",
    "You're welcome! 🙂",
    "The total is 1 299,00 kr including shipping.",
)
_LONG = "We are sorry to hear that. " + "Here is what happens next, step by step: " * 14


def make_text(random: Random, *, from_page: bool) -> str:
    """One message's text."""
    if random.random() < 0.01:
        return _LONG
    return random.choice(_PAGE if from_page else _CUSTOMER)
