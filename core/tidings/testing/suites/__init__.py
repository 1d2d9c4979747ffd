"""The suites, one a contract."""
