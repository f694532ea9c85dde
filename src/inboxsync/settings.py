"""The settings, from environment variables. All problems are reported together."""

import re
from collections.abc import Mapping
from datetime import tzinfo
from difflib import SequenceMatcher
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from inboxsync.errors import SettingsInvalid
from inboxsync.zones import machine_zone, named_zone

# The newest version that docs/graph-facts.md vouches for (1.1-2).
GRAPH_VERSION = "v27.0"
META_URL = "https://graph.facebook.com"
_ADDRESS = TypeAdapter(HttpUrl)
_ORIGIN = re.compile(r"https?://[^/\s*]+")
_VERSION = re.compile(r"v\d+\.\d+")
_SHORTEST_SECRET = 16
# A guess would find one of few different characters.
_FEWEST_CHARACTERS = 6
_PREFIX = "INBOXSYNC_"
# Kubernetes sets these for a service of this name, and Docker for a link: nobody typed them.
_OF_A_SERVICE = re.compile(
    r"(?:\w+_)??(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)"
)
_LIKE = 0.6
# A name with another prefix may have nothing to do with inboxsync.
_VERY_LIKE = 0.9
_MOST_LIKELY = 3


class Settings(BaseSettings):
    """INBOXSYNC_... variables; the README explains each."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(default_factory=lambda: user_data_path("inboxsync"))
    database_url: str = Field(default="", repr=False)
    database_schema: str | None = Field(default=None, min_length=1, max_length=63)
    graph_url: str = META_URL
    graph_version: str = GRAPH_VERSION
    secret_key: SecretStr | None = None
    new_secret_key: SecretStr | None = None
    copy_from_url: SecretStr | None = None
    copy_to_url: SecretStr | None = None
    log_format: Literal["console", "json"] = "console"
    calls_per_second: float = Field(default=2.0, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    largest_answer_mb: int = Field(default=64, ge=1)
    retry_attempts: int = Field(default=3, ge=1, le=10)
    retry_base_seconds: float = Field(default=1.0, ge=0)
    stall_calls: int = Field(default=50, ge=2)
    source_away_seconds: float = Field(default=180.0, ge=0)
    folder_interval_seconds: float = Field(default=900.0, ge=0)
    time_zone: str | None = None
    app_id: str | None = None
    app_secret: SecretStr | None = None
    api_key: SecretStr | None = None
    allowed_hosts: str = ""
    cors_origins: str = ""
    trusted_proxies: str = ""
    max_body_bytes: int = Field(default=1_000_000, ge=1024)
    request_stop_seconds: float = Field(default=270.0, gt=0)
    request_limit_seconds: float = Field(default=290.0, gt=0)
    default_region: str | None = None

    @field_validator("graph_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            address = _ADDRESS.validate_python(value)
        except ValidationError:
            raise ValueError("should be an address such as https://graph.facebook.com") from None
        if address.scheme == "http" and not _is_this_machine(address.host or ""):
            # The token would be sent unencrypted.
            raise ValueError("should begin with https://; http:// is only for a sandbox on this machine")
        return str(address).rstrip("/")

    @field_validator("graph_version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        if _VERSION.fullmatch(value) is None:
            raise ValueError(f"should be a version such as {GRAPH_VERSION}")
        return value

    @field_validator("default_region")
    @classmethod
    def _is_region(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415 - rarely needed, and slow to import

        # With an unknown country no number would be found, without an error: the UK is GB.
        if value.upper() not in SUPPORTED_REGIONS:
            raise ValueError("should be a country's two letters, such as US, or GB for the United Kingdom")
        return value.upper()

    @field_validator("app_id")
    @classmethod
    def _is_number(cls, value: str | None) -> str | None:
        if value is not None and not value.isdecimal():
            raise ValueError("should be the app's number, as Meta's app dashboard shows it")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value and not value.startswith(("sqlite", "postgres")):
            raise ValueError(
                "should be sqlite:////absolute/path/inboxsync.db or postgresql://user:password@host/database"
            )
        return value

    @field_validator("secret_key", "new_secret_key", "api_key")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"should have {_SHORTEST_SECRET} characters or more")
        if value is not None and len(set("".join(value.get_secret_value().split()))) < _FEWEST_CHARACTERS:
            raise ValueError(
                f"should have {_FEWEST_CHARACTERS} different characters or more, blanks not counted; "
                "for example the output of `openssl rand -base64 32`"
            )
        return value

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value is not None else ""
        if not text.isprintable() or text != text.strip():
            raise ValueError("should be printable characters without a blank before or behind")
        return value

    @field_validator("data_dir")
    @classmethod
    def _with_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError:  # no such user: it is the name of a folder
            return value

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        if value is not None and named_zone(value) is None:
            raise ValueError("should be a time zone such as Asia/Ho_Chi_Minh, Europe/Berlin or UTC")
        return value

    @property
    def zone(self) -> tzinfo:
        """The one zone of all times, days and hours that people see: as set, else the machine's own."""
        return (named_zone(self.time_zone) if self.time_zone is not None else None) or machine_zone()

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in _parts(value):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError("should be origins such as https://inbox.example.com, with commas between")
        return value

    @property
    def allowed_host_names(self) -> tuple[str, ...]:
        """Host names that the HTTP service answers to, beside this machine's own."""
        return tuple(name.lower() for name in _parts(self.allowed_hosts))

    @property
    def cors_origin_list(self) -> tuple[str, ...]:
        """Sites whose pages may call the HTTP service from a browser."""
        return _parts(self.cors_origins)

    @property
    def database(self) -> str | Path:
        """The database: the URL that is set, or a file in the data directory. A path is no part of a URL."""
        return self.database_url or self.data_dir.absolute() / "inboxsync.db"

    @property
    def key_file(self) -> Path:
        """Where the secret key is stored if the environment has none."""
        return self.data_dir / "secret.key"


def load_settings() -> Settings:
    """Read the environment. Raises SettingsInvalid with every problem at once; values are not shown."""
    try:
        return Settings()
    except ValidationError as invalid:
        problems = [
            f"{_PREFIX}{str(each['loc'][0]).upper()}: {_reason(each['msg'])}" for each in invalid.errors()
        ]
        raise SettingsInvalid("\n".join(f"{problem}." for problem in problems)) from None


def misspelt_variables(environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Variables with a value that look like settings and are none, each with the likely ones; best first.

    Upper and lower case are the same in names of settings.
    """
    return {
        name: _likely(name)
        for name, value in sorted(environment.items())
        if value and _is_misspelt(name.upper(), value)
    }


def _is_misspelt(name: str, value: str) -> bool:
    rest = name.removeprefix(_PREFIX)
    if rest == name:
        letters = _letters(name)
        own = _letters(_PREFIX)
        return _likeness(letters[: len(own)], own) >= _LIKE and any(
            _likeness(letters, _letters(_PREFIX + known)) >= _VERY_LIKE for known in _known()
        )
    is_set_by_others = _OF_A_SERVICE.fullmatch(rest) or (rest.endswith("PORT") and "://" in value)
    return rest not in _known() and not rest.startswith("TEST_") and not is_set_by_others


def _likely(name: str) -> tuple[str, ...]:
    """The settings that this name is nearest to; none where none is near."""
    letters = _letters(name)
    rest = letters.removeprefix(_letters(_PREFIX))
    words = set(name.upper().removeprefix(_PREFIX).split("_"))
    likeness = {
        known: max(
            _likeness(rest, _letters(known)) if rest != letters else 0,
            _likeness(letters, _letters(_PREFIX + known)) if rest == letters else 0,
            # A part of its words: SECRET for SECRET_KEY, or one word too many.
            _VERY_LIKE if words <= set(known.split("_")) or set(known.split("_")) <= words else 0,
        )
        for known in _known()
    }
    best = max(likeness.values())
    nearest = [f"{_PREFIX}{known}" for known in _known() if best >= _LIKE and likeness[known] == best]
    return tuple(nearest[:_MOST_LIKELY])


def _known() -> tuple[str, ...]:
    return tuple(name.upper() for name in Settings.model_fields)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.upper()))


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")
