"""Tables of a ledger in SQLite."""

from __future__ import annotations

from typing import Final

__all__ = ["SCHEMA", "SCHEMA_VERSION"]

SCHEMA_VERSION: Final = 4

# Times are integers: microseconds since 1970, or NEVER. Each upsert keeps the greater value of a register.
# The journal mode is SQLite's default and not WAL. So the ledger is one file, which a process without write access can
# read.
SCHEMA: Final = (
    """CREATE TABLE publication (
        server TEXT PRIMARY KEY, revision INTEGER NOT NULL, seed BLOB NOT NULL, at INTEGER NOT NULL,
        channel TEXT NOT NULL, is_for_all INTEGER NOT NULL, profile BLOB NOT NULL)""",
    # certificates in published profiles; the other tables have their short numbers
    "CREATE TABLE certificate (number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE)",
    """CREATE TABLE published (
        server TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (server, number)) WITHOUT ROWID""",
    """CREATE TABLE command (
        command_uuid TEXT PRIMARY KEY, server TEXT NOT NULL, revision INTEGER NOT NULL, queued INTEGER NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE delivery (
        server TEXT NOT NULL, enrollment_id TEXT NOT NULL, revision INTEGER NOT NULL, queued INTEGER NOT NULL,
        epoch INTEGER NOT NULL, acknowledged INTEGER NOT NULL, answered_queued INTEGER NOT NULL,
        finality INTEGER NOT NULL, answered INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (server, enrollment_id)) WITHOUT ROWID""",
    # answers to commands that are not recorded yet, or that other senders queued
    """CREATE TABLE stray (
        command_uuid TEXT NOT NULL, enrollment_id TEXT NOT NULL, at INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
        finality INTEGER NOT NULL, answered INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (command_uuid, enrollment_id)) WITHOUT ROWID""",
    "CREATE INDEX stray_at ON stray (at)",
    """CREATE TABLE device (
        enrollment_id TEXT PRIMARY KEY, authenticated INTEGER NOT NULL, seen INTEGER NOT NULL, gone INTEGER NOT NULL,
        listed INTEGER NOT NULL, asked INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE report (
        enrollment_id TEXT NOT NULL, number INTEGER NOT NULL, reported INTEGER NOT NULL,
        PRIMARY KEY (enrollment_id, number)) WITHOUT ROWID""",
    "CREATE TABLE claim (enrollment_id TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE INDEX claim_of ON claim (enrollment_id, at)",
    # one row: the greatest time of delete_devices
    "CREATE TABLE deletion (number INTEGER PRIMARY KEY CHECK (number = 1), before INTEGER NOT NULL)",
    # the time comes first: new events are at the end of the table, and old ones are deleted from its start
    "CREATE TABLE event (at INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (at, identity)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
