from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, bytes_and_times, machine, machines

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import opening, schema
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.snapshot import BackOff

if TYPE_CHECKING:
    from pathlib import Path

NEXT_STEP = ("ALTER TABLE machines ADD COLUMN note TEXT", "CREATE TABLE notes (text TEXT)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with three machines, closed, in a directory of its own."""
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
        ledger.set_flag("batch_honoured:c1", "yes")
    return place


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_only_its_owner_can_read_the_file_and_its_directory(path: Path) -> None:
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


def test_between_runs_the_file_stands_alone(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_wide_umask_opens_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Ledger.open(tmp_path / "state" / "ledger.db", now=NOW):
            pass
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "state" / "ledger.db") == 0o600
    assert mode_of(tmp_path / "state") == 0o700


@pytest.mark.parametrize("name", ["with space?x=1#y%20.db", "lëdger.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    with Ledger.open(tmp_path / name, now=NOW) as ledger:
        ledger.set_flag("a", "b")
    with Ledger.open(str(tmp_path / name), now=NOW, read_only=True) as ledger:
        assert ledger.flag("a") == "b"
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_others_may_write_is_refused(path: Path, mode: int, read_only: bool) -> None:
    path.chmod(mode)
    with pytest.raises(LedgerError, match=f"chmod 600 {path}"):
        Ledger.open(path, now=NOW, read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_path_that_cannot_be_a_ledger_is_refused_with_a_next_step(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    for name, told in (
        ("", "not a regular file"),
        ("fifo", "not a regular file"),
        ("file/ledger.db", "another path"),
    ):
        with pytest.raises(LedgerError, match=told):
            Ledger.open(tmp_path / name, now=NOW, read_only=read_only)


def test_a_place_where_no_file_can_be_made_is_named() -> None:
    with pytest.raises(LedgerError, match="/proc/azaks-ledger"):
        Ledger.open("/proc/azaks-ledger/ledger.db", now=NOW)


def test_a_file_this_user_may_not_write_is_refused_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.os, "access", lambda *_: False)
    with pytest.raises(LedgerError, match="chown"):
        Ledger.open(path, now=NOW)


def test_a_ledger_locked_by_another_process_says_so(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(LedgerError, match="another process is using it"),
            Ledger.open(path, now=NOW, busy_timeout_s=0.01) as ledger,
        ):
            ledger.set_flag("a", "b")
        with Ledger.open(path, now=NOW, read_only=True, busy_timeout_s=0.0) as ledger:
            assert len(ledger.machines()) == 3


def test_a_full_disk_loses_nothing_and_says_so(path: Path) -> None:
    with Ledger.open(path, now=NOW) as ledger:
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerError, match="no space is left; free some space"):
            ledger.record_intents(machines(4, 2000), {"htc": 2001}, NOW)
        assert (len(ledger.machines()), ledger.next_number("htc")) == (3, 4)
        ledger.set_flag("batch_honoured:c1", "no")


def test_a_closed_ledger_raises_no_error_of_sqlite(path: Path) -> None:
    ledger = Ledger.open(path, now=NOW)
    ledger.close()
    ledger.close()
    for use in (ledger.machines, lambda: ledger.set_flag("a", "b")):
        with pytest.raises(LedgerError):
            use()


# Reading only


def test_reading_changes_not_a_byte_and_no_time(path: Path) -> None:
    before = bytes_and_times(path.parent)
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 3
        assert ledger.flag("batch_honoured:c1") == "yes"
        assert bytes_and_times(path.parent) == before
    assert bytes_and_times(path.parent) == before


def test_reading_beside_an_open_writer_changes_nothing_and_sees_what_is_finished(path: Path) -> None:
    with Ledger.open(path, now=NOW) as writer, writer._writing() as connection:
        connection.execute("DELETE FROM machines")
        before = bytes_and_times(path.parent)
        with Ledger.open(path, now=NOW, read_only=True, busy_timeout_s=0.01) as reader:
            assert len(reader.machines()) == 3
        assert bytes_and_times(path.parent) == before


def test_a_reader_stays_at_its_moment_and_never_holds_the_writer_up(path: Path) -> None:
    with (
        Ledger.open(path, now=NOW, busy_timeout_s=0.01) as writer,
        Ledger.open(path, now=NOW, read_only=True) as reader,
    ):
        writer.record_intents([machine(4)], {"htc": 5}, NOW)
        assert (len(reader.machines()), len(writer.machines())) == (3, 4)


def test_a_missing_ledger_reads_as_empty_and_stays_missing(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "none" / "ledger.db", now=NOW, read_only=True) as ledger:
        assert (ledger.machines(), ledger.next_number("htc"), ledger.back_offs(NOW)) == ((), 1, ())
        assert (ledger.file_version, ledger.notices) == (None, ())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_reads_as_an_empty_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch(0o600)
    before = bytes_and_times(tmp_path)
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert ledger.machines() == ()
    assert bytes_and_times(tmp_path) == before
    with Ledger.open(path, now=NOW) as ledger:
        assert "was empty" in ledger.notices[0]


def test_a_reader_cannot_write(path: Path) -> None:
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        for write in (
            lambda: ledger.record_intents([], {}, NOW),
            lambda: ledger.set_not_before(NOW),
            lambda: ledger.add_back_off(BackOff(code="CAPACITY_BACKOFF"), "", NOW),
            lambda: ledger.forget_gone(NOW),
        ):
            with pytest.raises(LedgerError, match="for reading only"):
                write()


# Damage, and files of others


def damage_a_page(path: Path) -> None:
    """Overwrite the page of the table `machines`, and leave the rest whole."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'machines'"
        (root,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)


def test_a_damaged_ledger_is_set_aside_and_its_numbers_still_count(path: Path) -> None:
    damage_a_page(path)
    damaged = path.read_bytes()
    with pytest.raises(LedgerError, match="it is damaged; the next run that may write sets it aside"):
        Ledger.open(path, now=NOW, read_only=True)
    with Ledger.open(path, now=NOW) as ledger:
        (notice,) = ledger.notices
        assert (ledger.machines(), ledger.next_number("htc")) == ((), 4)
        ledger.record_intents([machine(4)], {"htc": 5}, NOW)
    aside = path.with_name("ledger.db.corrupt-20260921T141320Z")
    assert aside.read_bytes() == damaged
    assert str(aside) in notice
    assert "numbering of names continues" in notice
    assert mode_of(path) == 0o600
    with Ledger.open(path, now=NOW) as ledger:
        assert (len(ledger.machines()), ledger.notices) == (1, ())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda whole: whole[: len(whole) // 2], id="cut in half"),
        pytest.param(lambda whole: whole[:10], id="cut in its header"),
        pytest.param(lambda whole: bytes(len(whole)), id="blanked by a crash"),
        pytest.param(lambda whole: whole[:100] + b"\xff" * (len(whole) - 100), id="all but the header"),
        pytest.param(lambda whole: b"\xff" * 40 + whole[40:], id="the header's begin"),
    ],
)
def test_a_ledger_damaged_in_any_way_is_set_aside(path: Path, content: object) -> None:
    path.write_bytes(content(path.read_bytes()))  # type: ignore[operator]
    with Ledger.open(path, now=NOW) as ledger:
        assert "set aside" in ledger.notices[0]
        assert ledger.machines() == ()
    assert path.with_name("ledger.db.corrupt-20260921T141320Z").exists()


def test_two_damages_in_one_second_keep_both_files(path: Path) -> None:
    for _ in range(2):
        damage_a_page(path)
        Ledger.open(path, now=NOW).close()
    assert len(list(path.parent.glob("ledger.db.corrupt-*"))) == 2


@pytest.mark.parametrize("ending", ["-journal", "-wal"])
def test_a_damaged_ledger_takes_its_journal_with_it(path: Path, ending: str) -> None:
    damage_a_page(path)
    path.with_name(f"ledger.db{ending}").write_bytes(b"left over")
    with Ledger.open(path, now=NOW) as ledger:
        assert ledger.machines() == ()
    assert not path.with_name(f"ledger.db{ending}").exists()


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_text('{"cluster_name": "c1"}'), id="a configuration file"),
        pytest.param(lambda path: path.write_bytes(b"\x7fELF" + bytes(4000)), id="a program"),
        pytest.param(foreign_database, id="another program's database"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_never_was_a_ledger_is_left_alone(tmp_path: Path, write: object, read_only: bool) -> None:
    path = tmp_path / "ledger.db"
    write(path)  # type: ignore[operator]
    path.chmod(0o600)
    before = bytes_and_times(tmp_path)
    with pytest.raises(LedgerError, match=r"not a ledger.*give another path"):
        Ledger.open(path, now=NOW, read_only=read_only)
    assert bytes_and_times(tmp_path) == before


def test_a_hand_made_file_without_tables_becomes_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    path.chmod(0o600)
    with Ledger.open(path, now=NOW) as ledger:
        assert (ledger.file_version, ledger.machines()) == (0, ())
    assert version_of(path) == len(schema.MIGRATIONS)


@pytest.fixture
def newer_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of this program, and a program that is one version ahead."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT_STEP))
    return path


def test_an_older_ledger_is_migrated_and_a_copy_kept(newer_program: Path) -> None:
    old = version_of(newer_program)
    with Ledger.open(newer_program, now=NOW) as ledger:
        assert (ledger.file_version, len(ledger.machines()), ledger.next_number("htc")) == (old, 3, 4)
    backup = newer_program.with_name(f"ledger.db.bak-v{old}")
    assert (version_of(newer_program), version_of(backup), mode_of(backup)) == (old + 1, old, 0o600)
    assert {file.name for file in newer_program.parent.iterdir()} == {newer_program.name, backup.name}


def test_an_older_ledger_is_read_without_being_migrated(newer_program: Path) -> None:
    before = bytes_and_times(newer_program.parent)
    with Ledger.open(newer_program, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 3
        assert ledger._connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    assert bytes_and_times(newer_program.parent) == before


def test_a_migration_that_fails_leaves_the_older_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (*NEXT_STEP, "CREATE TABLE notes (again)")))
        with pytest.raises(LedgerError):
            Ledger.open(path, now=NOW)
    with Ledger.open(path, now=NOW) as ledger:
        assert (len(ledger.machines()), ledger.file_version) == (3, len(schema.MIGRATIONS))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_ledger_is_refused_untouched(path: Path, read_only: bool) -> None:
    newest = len(schema.MIGRATIONS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newest + 1}")
    before = bytes_and_times(path.parent)
    with pytest.raises(LedgerError, match=f"install the newer program, or put back the copy {path}.bak-v{newest}"):
        Ledger.open(path, now=NOW, read_only=read_only)
    assert bytes_and_times(path.parent) == before


def test_a_state_of_a_newer_program_is_named(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE machines SET state = 'resting'")
    with Ledger.open(path, now=NOW) as ledger, pytest.raises(LedgerError, match="'resting'"):
        ledger.machines()


def test_events_are_never_rewritten(path: Path) -> None:
    with Ledger.open(path, now=NOW) as ledger:
        with pytest.raises(LedgerError, match="never rewritten"), ledger._writing() as connection:
            connection.execute("UPDATE events SET detail = ''")
        ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW)
        assert [event for _, event, _ in ledger.history("htc-m1-1")] == ["intended", "listed"]
