"""What all tables share: names of constraints, and comments that SQLite keeps too."""

from typing import Any, Final

from sqlalchemy import ColumnElement, MetaData
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn
from sqlalchemy.sql.compiler import DDLCompiler

# Which migration a database has.
VERSION_TABLE: Final = "inboxsync_schema_version"
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    },
)


@compiles(CreateColumn, "sqlite")
def _column_with_comment(element: CreateColumn, compiler: DDLCompiler, **kw: object) -> str:
    """SQLite has no comments on columns, but keeps the SQL it was given: `.schema` shows them."""
    rendered = compiler.visit_create_column(element, **kw)  # type: ignore[no-untyped-call]
    comment = element.element.comment
    return f"{rendered} /* {comment} */" if rendered and comment else str(rendered)


def not_by_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A text column in a condition that no index on it shall serve.

    Rows are looked up by a Page and an id of Meta's: by the index on that id. Of a Page that has grown since
    the last ANALYZE, the planner of PostgreSQL believes that it has one row, and would read all of the Page.
    """
    return column.op("||")("")
