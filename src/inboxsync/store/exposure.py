"""Keeps other database users out of our tables on PostgreSQL, and says where they are let in.

A platform may give every new table to the roles that its web API uses: Supabase's `anon` and
`authenticated` stand for everyone who calls it. So what such a role, or PUBLIC, was given is taken away
once a migration has made or changed tables, and row level security then shows it nothing. A table with a
policy was opened on purpose, and stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from inboxsync.errors import StoreUnavailable
from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.tables import VERSION_TABLE, metadata
from inboxsync.store.tables.views import EVENTS_VIEW

PUBLIC = "PUBLIC"
# Views that run with the rights of who asks (PostgreSQL 15).
_HAS_INVOKER_VIEWS = (15,)

# The roles of a web API: Supabase's by name, and those that PostgREST's own role may become.
# A role that passes over row level security is the owner's own, for a server.
_API_ROLES = """
SELECT r.rolname FROM pg_roles AS r
WHERE NOT r.rolsuper AND NOT r.rolbypassrls AND r.rolname <> current_user AND (
    r.rolname IN ('anon', 'authenticated')
    OR EXISTS (
        SELECT FROM pg_auth_members AS m JOIN pg_roles AS a ON a.oid = m.member
        WHERE a.rolname = 'authenticator' AND m.roleid = r.oid
    )
)
ORDER BY r.rolname
"""
_OURS = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity AS is_guarded,
    coalesce('security_invoker=true' = ANY(c.reloptions), FALSE) AS is_invoker,
    EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) AS has_policy
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'S') AND (
    n.nspname = current_schema() AND (
        c.relname IN :names
        OR EXISTS (
            SELECT FROM pg_depend AS d JOIN pg_class AS t ON t.oid = d.refobjid
            WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND t.relname IN :names
                AND t.relnamespace = c.relnamespace
        )
    )
    OR n.nspname = :queue_schema
)
ORDER BY n.nspname, c.relname
"""
# What a role may do in effect: by a grant to it, to a role that it is in, or to PUBLIC.
_RIGHTS = """
SELECT r.role, c.oid, has_schema_privilege(r.role, c.relnamespace, 'USAGE') AS can_enter,
    array_remove(ARRAY[
        CASE WHEN c.relkind <> 'S' AND has_any_column_privilege(r.role, c.oid, 'SELECT') THEN 'SELECT' END,
        CASE WHEN c.relkind <> 'S' AND has_any_column_privilege(r.role, c.oid, 'INSERT') THEN 'INSERT' END,
        CASE WHEN c.relkind <> 'S' AND has_any_column_privilege(r.role, c.oid, 'UPDATE') THEN 'UPDATE' END,
        CASE WHEN c.relkind <> 'S' AND has_table_privilege(r.role, c.oid, 'DELETE') THEN 'DELETE' END,
        CASE WHEN c.relkind <> 'S' AND has_table_privilege(r.role, c.oid, 'TRUNCATE') THEN 'TRUNCATE' END,
        CASE WHEN c.relkind <> 'S' AND has_table_privilege(r.role, c.oid, 'TRIGGER') THEN 'TRIGGER' END,
        CASE WHEN c.relkind = 'S' AND has_sequence_privilege(r.role, c.oid, 'SELECT') THEN 'SELECT' END,
        CASE WHEN c.relkind = 'S' AND has_sequence_privilege(r.role, c.oid, 'UPDATE') THEN 'UPDATE' END
    ], NULL) AS rights
FROM pg_class AS c CROSS JOIN unnest(CAST(:roles AS name[])) AS r (role)
WHERE c.oid = ANY(CAST(:oids AS oid[]))
"""
_BLINDED = """
SELECT pg_get_userbyid(c.relowner) AS owner FROM pg_class AS c
WHERE c.oid IN (to_regclass(:version_table), to_regclass('facebook_pages')) AND row_security_active(c.oid)
    AND NOT EXISTS (
        SELECT FROM pg_policy AS p CROSS JOIN unnest(p.polroles) AS r (oid)
        WHERE p.polrelid = c.oid AND (r.oid = 0 OR pg_has_role(r.oid, 'MEMBER'))
    )
LIMIT 1
"""
# Row level security is not asked about these.
_NOT_BY_ROW = frozenset({"TRUNCATE", "TRIGGER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a role of a web API, or PUBLIC, can do in effect with one of our tables, views or sequences."""

    schema: str
    name: str
    role: str
    rights: tuple[str, ...]
    shut_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Relation:
    oid: int
    nspname: str
    relname: str
    relkind: str
    is_guarded: bool
    is_invoker: bool
    has_policy: bool

    @property
    def quoted(self) -> str:
        return f"{_quoted(self.nspname)}.{_quoted(self.relname)}"

    def effective(self, rights: Sequence[str]) -> tuple[str, ...]:
        """Without what row level security, or the view's own tables, leave nothing of."""
        if self.relkind == "v":
            return () if self.is_invoker else tuple(rights)
        if self.is_guarded:
            return tuple(right for right in rights if right in _NOT_BY_ROW)
        return tuple(rights)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rights:
    """What a role may do with a relation; `can_enter`: in a schema that it may use."""

    can_enter: bool
    names: tuple[str, ...]


_NOTHING = _Rights(can_enter=False, names=())


def shut(connection: Connection) -> None:
    """Take our tables, views and sequences away from every role of a web API, and from PUBLIC.

    Of PostgreSQL only, and only where there is such a role or such a grant. To be called in the transaction
    of a migration, as the owner.
    """
    if not is_postgresql(connection):
        return
    roles = _api_roles(connection)
    relations = [each for each in _relations(connection, queue_schema=None) if not each.has_policy]
    if not roles and not _rights(connection, [PUBLIC], relations):
        return
    grantees = ", ".join([PUBLIC, *map(_quoted, roles)])
    has_invoker_views = (connection.dialect.server_version_info or ()) >= _HAS_INVOKER_VIEWS
    for relation in relations:
        kind = "SEQUENCE " if relation.relkind == "S" else ""
        _execute(connection, f"REVOKE ALL ON {kind}{relation.quoted} FROM {grantees}")
        if relation.relkind in ("r", "p"):
            _execute(connection, f"ALTER TABLE {relation.quoted} ENABLE ROW LEVEL SECURITY")
        if relation.relkind == "v" and has_invoker_views:
            _execute(connection, f"ALTER VIEW {relation.quoted} SET (security_invoker = true)")


def list_exposures(connection: Connection, *, queue_schema: str | None) -> list[Exposure]:
    """What others can do with our tables and with those of the workers' queue; empty on SQLite.

    What a role may do only because everyone may is told of PUBLIC.
    """
    if not is_postgresql(connection):
        return []
    relations = {each.oid: each for each in _relations(connection, queue_schema=queue_schema)}
    roles = [PUBLIC, *_api_roles(connection)]
    rights = _rights(connection, roles, list(relations.values()))
    found = []
    for oid, relation in relations.items():
        to_all = rights.get((PUBLIC, oid), _NOTHING).names
        can_enter = {role for role in roles if rights.get((role, oid), _NOTHING).can_enter}
        for role in roles:
            own = rights.get((role, oid), _NOTHING).names
            names = to_all if role == PUBLIC else [each for each in own if each not in to_all]
            if can_enter and (role == PUBLIC or role in can_enter) and (left := relation.effective(names)):
                found.append(_exposure(relation, role, left))
    return found


def check_visible(connection: Connection, *, where: str) -> None:
    """Raises StoreUnavailable where row level security hides every row from this database user.

    Everything would look empty, as if it were lost.
    """
    if not is_postgresql(connection):
        return
    owner = connection.execute(text(_BLINDED), {"version_table": VERSION_TABLE}).scalar()
    if owner is None:
        return
    user = connection.exec_driver_sql("SELECT current_user").scalar()
    raise StoreUnavailable(
        f"{where} hides every row from the user {user}: row level security is on, and no policy is for it.",
        hint=f"Connect as the tables' owner, {owner}, or run as an administrator: ALTER ROLE "
        f"{_quoted(str(user))} BYPASSRLS",
    )


def is_for_web_api(connection: Connection) -> bool:
    """Whether this server's database is served to browsers: it has Supabase's roles."""
    both = "SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('anon', 'authenticated')"
    return bool(connection.exec_driver_sql(both).scalar())


def _exposure(relation: _Relation, role: str, rights: tuple[str, ...]) -> Exposure:
    kind = "SEQUENCE " if relation.relkind == "S" else ""
    return Exposure(
        schema=relation.nspname,
        name=relation.relname,
        role=role,
        rights=rights,
        shut_by=f"REVOKE ALL ON {kind}{relation.quoted} FROM {role if role == PUBLIC else _quoted(role)};",
    )


def _api_roles(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql(_API_ROLES).scalars())


def _relations(connection: Connection, *, queue_schema: str | None) -> list[_Relation]:
    # The version table too: who could write there could stop every command.
    names = [*metadata.tables, EVENTS_VIEW, VERSION_TABLE]
    statement = text(_OURS).bindparams(bindparam("names", names, expanding=True), queue_schema=queue_schema)
    rows = connection.execute(statement).mappings()
    return [_Relation(**{**row, "relkind": _as_text(row["relkind"])}) for row in rows]


def _rights(
    connection: Connection, roles: Sequence[str], relations: Sequence[_Relation]
) -> dict[tuple[str, int], _Rights]:
    """By role and relation; only where there are any."""
    # The functions know PUBLIC by this name.
    names = ["public" if role == PUBLIC else role for role in roles]
    parameters = {"roles": names, "oids": [each.oid for each in relations]}
    return {
        (PUBLIC if role == "public" else role, oid): _Rights(can_enter=can_enter, names=tuple(rights))
        for role, oid, can_enter, rights in connection.execute(text(_RIGHTS), parameters)
        if rights
    }


def _execute(connection: Connection, statement: str) -> None:
    # A percent sign would be the driver's.
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_text(value: str | bytes) -> str:
    """PostgreSQL's "char" comes as bytes."""
    return value.decode() if isinstance(value, bytes) else value
