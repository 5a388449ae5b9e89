//! Every HTTP scenario against the container target on SQLite.

authly_tests::http_scenarios!(authly_tests::container::OnSqlite);
