"""Jobs in SQL databases: SQLite, PostgreSQL, MySQL and MariaDB."""
