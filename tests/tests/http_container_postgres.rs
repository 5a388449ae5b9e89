//! Every HTTP scenario against the container target on Postgres.

authly_tests::http_scenarios!(authly_tests::container::OnPostgres);
