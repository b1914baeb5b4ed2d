"""Why the service cannot start on a database."""


class DatabaseNotReady(Exception):
    """The service cannot start on this database; the text says what to do."""


class MigrationNeeded(DatabaseNotReady):
    """The schema is older than this program. The text ends with the command to run, for a configuration `FILE`."""


class DatabaseAway(DatabaseNotReady):
    """The database does not answer, or refuses the connection."""
