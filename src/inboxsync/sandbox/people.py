"""The synthetic world's people: names in many scripts, some withheld, some gone."""

from dataclasses import dataclass
from random import Random
from typing import Any

from inboxsync.sandbox.refusal import Refusal

_GIVEN = (
    ("Anna", "José", "Zoë", "Søren", "Nguyễn Đức", "Łukasz", "Chloé", "Oğuz", "Siân", "Björk"),
    ("محمد", "فاطمة", "ليلى"),
    ("דוד", "שרה", "נועם"),
    ("สมชาย", "มาลี", "กิตติ"),
    ("太郎", "花子", "健"),
    ("伟", "芳", "秀英"),
    ("Иван", "Ольга", "Дмитрий"),
    ("민준", "서연", "지우"),
    ("राहुल", "प्रिया", "अमित"),
    ("Ελένη", "Γιώργος", "Νίκος"),
)
_FAMILY = (
    ("Müller", "García", "O'Brien", "Đặng", "Kowalski", "d'Arc", "Yılmaz", "Nagy", "Ødegård", "Smith-Jones"),
    ("الأحمد", "حسن", "العلي"),
    ("כהן", "לוי", "מזרחי"),
    ("ใจดี", "แสงทอง", "ศรีสุข"),
    ("山田", "佐藤", "鈴木"),
    ("王", "李", "张"),
    ("Иванов", "Смирнова", "Кузнецов"),
    ("김", "이", "박"),
    ("शर्मा", "पटेल", "सिंह"),
    ("Παπαδόπουλος", "Νικολάου", "Γεωργίου"),
)
_EMOJI = ("🌸", "🔥", "👩‍💻", "🇧🇷", "✨")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A contact. `name` None: withheld. `is_gone`: the account no longer exists, and is no participant."""

    id: str
    name: str | None
    username: str
    is_gone: bool = False


def make_person(random: Random, person_id: str) -> Person:
    """The person that this random source makes of this id."""
    script = random.choices(range(len(_GIVEN)), weights=(12, *(1 for _ in _GIVEN[1:])))[0]
    given, family = random.choice(_GIVEN[script]), random.choice(_FAMILY[script])
    name: str | None = f"{given} {family}"
    chance = random.random()
    if chance < 0.03:
        name = f"{name} {random.choice(_EMOJI)}"
    elif chance < 0.045:
        name = None
    return Person(
        id=person_id,
        name=name,
        username=f"user.{person_id[-9:]}",
        is_gone=0.045 <= chance < 0.06,
    )


def profile(person: Person, *, is_instagram: bool) -> dict[str, Any]:
    """What a person's own node has (graph-facts 1.9). Raises Refusal."""
    if person.is_gone:
        raise Refusal(100, "(#100) No matching user found", subcode=2018001)
    found = {"id": person.id, "profile_pic": f"https://cdn.sandbox.invalid/p/{person.id}.jpg"}
    if is_instagram:
        if person.name is None:
            raise Refusal(230, "(#230) User consent is required to access user profile", status=403)
        return found | {"name": person.name, "username": person.username}
    if person.name is not None:
        first, _, last = person.name.partition(" ")
        found |= {"name": person.name, "first_name": first, "last_name": last}
    return found
