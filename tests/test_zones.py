"""The machine's zone is the one that the C library uses, whatever names it."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inboxsync import zones

# Prints our name of the zone, and where our offset is another than the C library's.
LOOK = """
import json, time
from datetime import datetime
from inboxsync.zones import machine_zone
zone = machine_zone()
hours = range(1_735_689_600, 1_735_689_600 + 500 * 86_400, 3_607)
ours = [datetime.fromtimestamp(at, zone).utcoffset().total_seconds() for at in hours]
bad = [at for at, offset in zip(hours, ours) if offset != time.localtime(at).tm_gmtoff]
print(json.dumps([str(zone), bad]))
"""
# The same of many POSIX rules, one after the other.
LOOK_AT_RULES = """
import json, os, random, time
from datetime import datetime
from inboxsync.zones import machine_zone
dice = random.Random(15)
bad = []
for _ in range(300):
    name = dice.choice(["ABC", "<+07>", "<-0330>", "LONGNAME"])
    sign, minutes = dice.choice(["", "-", "+"]), dice.choice(["", ":30", ":45", ":05"])
    rule = f"{name}{sign}{dice.randrange(12)}{minutes}"
    if dice.random() < 0.7:
        begins, ends = dice.sample(range(1, 13), 2)
        rule += dice.choice(["DST", "<+08>"]) + dice.choice(["", "", "-9", "+2:30"])
        week, day = dice.randrange(1, 6), dice.randrange(7)
        rule += f",M{begins}.{week}.{day}{dice.choice(['', '/0', '/3', '/2:30'])},M{ends}.{week}.{day}/1"
    os.environ["TZ"] = rule
    time.tzset()
    zone = machine_zone()
    for _ in range(60):
        at = dice.randrange(946_684_800, 2_145_916_800)
        if datetime.fromtimestamp(at, zone).utcoffset().total_seconds() != time.localtime(at).tm_gmtoff:
            bad.append([rule, at])
print(json.dumps(bad))
"""
DATABASE = Path("/usr/share/zoneinfo")


def python(code: str, *, before: tuple[str, ...] = (), tz: str | None = None) -> list[object]:
    environment = {name: value for name, value in os.environ.items() if name not in ("TZ", "TZDIR")}
    environment |= {"TZ": tz} if tz is not None else {}
    done = subprocess.run(
        [*before, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


@pytest.mark.skipif(not DATABASE.is_dir(), reason="this machine has no time zone database")
@pytest.mark.parametrize(
    ("tz", "name"),
    [
        (None, None),
        ("", "UTC"),
        (":", "UTC"),
        ("UTC0", "UTC"),
        ("Asia/Kolkata", "Asia/Kolkata"),
        (":Asia/Kathmandu", "Asia/Kathmandu"),
        ("/usr/share/zoneinfo/Asia/Ho_Chi_Minh", "Asia/Ho_Chi_Minh"),
        (":/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("<+07>-7", "UTC+07:00"),
        ("ICT-7", "UTC+07:00"),
        ("<-0330>3:30", "UTC-03:30"),
        ("<+0545>-5:45", "UTC+05:45"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "UTC+01:00/+02:00"),
        ("NZST-12NZDT,M9.5.0,M4.1.0/3", "UTC+12:00/+13:00"),
        ("EST5EDT", "EST5EDT"),
        ("Australia/Lord_Howe", "Australia/Lord_Howe"),
        ("Mars/Olympus", "UTC"),
        ("no zone\n", "UTC"),
        (":/dev/null", "UTC"),
        (":/nowhere", "UTC"),
    ],
)
def test_each_form_of_tz_means_what_it_means_to_the_c_library(tz: str | None, name: str | None) -> None:
    told, different = python(LOOK, tz=tz)
    assert different == []
    assert name is None or told == name


def test_a_rule_without_dates_has_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST5XDT")  # on which hours it changes is each C library's own
    assert str(zones.machine_zone()) == "UTC-05:00/-04:00"
    assert f"{datetime(2026, 7, 1, tzinfo=UTC).astimezone(zones.machine_zone()):%H:%M}" == "20:00"


def test_posix_rules_mean_what_they_mean_to_the_c_library() -> None:
    assert python(LOOK_AT_RULES) == []


@pytest.mark.skipif(not DATABASE.is_dir(), reason="this machine has no time zone database")
@pytest.mark.parametrize("name", ["Asia/Ho_Chi_Minh", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Chatham"])
def test_a_zone_file_mounted_over_etc_localtime_is_the_machines_zone(name: str) -> None:
    mount = f'mount --bind {DATABASE / name} /etc/localtime && exec "$@"'
    alone = ("unshare", "-rm", "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this machine allows no mount in a namespace of one's own")
    assert python(LOOK, before=alone) == [name, []]


@pytest.mark.skipif(not DATABASE.is_dir(), reason="this machine has no time zone database")
def test_a_zone_file_is_named_by_its_content_and_not_by_the_name_it_lies_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = tmp_path / "zoneinfo" / "Etc" / "UTC"
    lying.parent.mkdir(parents=True)
    shutil.copy(DATABASE / "Asia" / "Ho_Chi_Minh", lying)
    link = tmp_path / "localtime"
    link.symlink_to(lying)
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "_LOCAL_FILE", link)
    zone = zones.machine_zone()
    assert str(zone) == "Asia/Ho_Chi_Minh"
    assert f"{datetime(2026, 6, 1, tzinfo=UTC).astimezone(zone):%z}" == "+0700"
    # The machine is moved while the service runs.
    shutil.copy(DATABASE / "Europe" / "Berlin", lying)
    os.utime(lying, ns=(1, 1))
    assert str(zones.machine_zone()) == "Europe/Berlin"


@pytest.mark.parametrize("content", [b"", b"TZif", b"TZif2" + bytes(39), b"\xff" * 100, bytes(5000)])
def test_a_file_that_is_no_zone_is_utc(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zone"
    path.write_bytes(content)
    monkeypatch.setenv("TZ", f":{path}")
    assert zones.machine_zone() is UTC


def test_a_named_zone_needs_no_database_of_the_machine() -> None:
    code = (
        "import json, zoneinfo; zoneinfo.reset_tzpath(to=[]); "
        "from inboxsync.zones import machine_zone, named_zone; "
        "print(json.dumps([str(machine_zone()), str(named_zone('Asia/Kathmandu')), named_zone('Mars')]))"
    )
    assert python(code, tz="Europe/Berlin") == ["Europe/Berlin", "Asia/Kathmandu", None]
