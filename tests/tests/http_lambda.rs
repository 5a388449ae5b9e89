//! Every HTTP scenario against the Lambda target behind an HTTP API, on Postgres.

authly_tests::http_scenarios!(authly_tests::lambda::OnHttpApi);
