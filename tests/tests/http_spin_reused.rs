//! Every HTTP scenario against the Spin component, with instances that take many requests, on Postgres.

authly_tests::http_scenarios!(authly_tests::spin::OnSpinReused);
