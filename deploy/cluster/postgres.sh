#!/bin/sh
# At the first start of PostgreSQL: the login and the database of tidings, which is nobody's superuser.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$TIDINGS_DATABASE_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE tidings LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE tidings OWNER tidings;
SQL
