//! Every HTTP scenario against the Lambda target behind a function URL and behind a load balancer, on Postgres.

mod function_url {
    authly_tests::http_scenarios!(authly_tests::lambda::OnFunctionUrl);
}

mod load_balancer {
    authly_tests::http_scenarios!(authly_tests::lambda::OnLoadBalancer);
}
