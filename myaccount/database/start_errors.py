"""Why the service cannot start on a database."""


class DatabaseNotReady(Exception):
    """The service cannot start on this database; the text says what to do."""


class DatabaseAway(DatabaseNotReady):
    """The database does not answer, or refuses the connection."""
