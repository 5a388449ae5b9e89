//! Every HTTP scenario against the Spin component, with an instance for each request, on Postgres.

authly_tests::http_scenarios!(authly_tests::spin::OnSpin);
