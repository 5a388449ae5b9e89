//! Metrics for CloudWatch in its embedded metric format: JSON lines on standard output, which the log service takes
//! metrics from. A function has nobody who could come and scrape it.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use authly_core::{
    ports::{Clock as _, Telemetry},
    telemetry::Event,
};
use serde_json::{Value, json};

use crate::{config::environment_variable, host::OsClock, logging::Observation};

const NAMESPACE: &str = "Authly";

/// Metrics of one function. Each pair of a metric and its dimensions' values is paid for: there are few, and none is a
/// client's or a person's.
pub struct Emf {
    function: String,
    is_enabled: bool,
}

/// A metric's name, unit and value.
type Metric = (&'static str, &'static str, f64);

impl Emf {
    /// Metrics of the function that this process is an instance of.
    pub fn of_this_function(is_enabled: bool) -> Self {
        let name = environment_variable("AWS_LAMBDA_FUNCTION_NAME").ok().flatten();
        Self { function: name.unwrap_or_else(|| "authly".to_owned()), is_enabled }
    }

    /// An instance has started; `duration` is the time from the program's start to its readiness.
    pub fn cold_start(&self, duration: Duration) {
        let milliseconds = duration.as_secs_f64() * 1000.0;
        self.write(&[], &[("cold_starts", "Count", 1.0), ("init_duration", "Milliseconds", milliseconds)]);
    }

    /// A request was answered.
    pub fn request(&self, observation: &Observation) {
        let milliseconds = observation.duration.as_secs_f64() * 1000.0;
        let is_error = f64::from(u8::from(observation.status.is_server_error()));
        let metrics = [
            ("requests", "Count", 1.0),
            ("request_duration", "Milliseconds", milliseconds),
            ("server_errors", "Count", is_error),
        ];
        self.write(&[("endpoint", observation.endpoint)], &metrics);
    }

    fn write(&self, labels: &[(&str, &str)], metrics: &[Metric]) {
        if !self.is_enabled {
            return;
        }
        let mut line = document(OsClock.now().timestamp_millis(), &self.function, labels, metrics).to_string();
        line.push('\n');
        // In one piece: the service reads it line by line. There is nobody to tell of a failure.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }
}

impl Telemetry for Emf {
    fn count(&self, event: Event) {
        let counter = event.counter();
        self.write(&[(counter.label, event.value())], &[(counter.name, "Count", 1.0)]);
    }
}

/// Every metric twice: of the function as a whole, and by the labels.
fn document(timestamp: i64, function: &str, labels: &[(&str, &str)], metrics: &[Metric]) -> Value {
    let by_function = vec!["function"];
    let by_label: Vec<_> = by_function.iter().copied().chain(labels.iter().map(|(name, _)| *name)).collect();
    let mut dimensions = vec![by_function];
    if !labels.is_empty() {
        dimensions.push(by_label);
    }
    let definitions: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions });
    let mut document = json!({ "_aws": { "Timestamp": timestamp, "CloudWatchMetrics": [directive] } });
    document["function"] = function.into();
    for (name, value) in labels {
        document[name] = (*value).into();
    }
    for (name, _, value) in metrics {
        document[name] = (*value).into();
    }
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rules of the specification, and of the service behind it: what breaks one is dropped without a word.
    fn check(document: &Value) {
        let text = |value: &Value, longest: usize| {
            let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text in {document}")).to_owned();
            assert!((1..=longest).contains(&text.len()) && text.is_ascii(), "{document}");
            text
        };
        assert!(document.to_string().len() < 256 * 1024);
        let metadata = document["_aws"].as_object().expect("metadata");
        assert!(metadata.keys().all(|key| matches!(key.as_str(), "Timestamp" | "CloudWatchMetrics")), "{document}");
        let timestamp = metadata["Timestamp"].as_u64().expect("milliseconds since 1970");
        assert!((1_700_000_000_000..4_000_000_000_000).contains(&timestamp), "{document}");
        let directives = metadata["CloudWatchMetrics"].as_array().expect("directives");
        assert!(!directives.is_empty());
        for directive in directives {
            let members: BTreeSet<_> = directive.as_object().expect("a directive").keys().map(String::as_str).collect();
            assert_eq!(members, BTreeSet::from(["Dimensions", "Metrics", "Namespace"]));
            assert!(!text(&directive["Namespace"], 1024).starts_with("AWS/"));
            let sets = directive["Dimensions"].as_array().expect("sets of dimensions");
            assert!(!sets.is_empty());
            for set in sets {
                let names: Vec<_> = set.as_array().expect("a set").iter().map(|name| text(name, 250)).collect();
                assert!((1..=30).contains(&names.len()), "{document}");
                assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{document}");
                for name in names {
                    assert!(!name.starts_with(':'), "{document}");
                    text(&document[name.as_str()], 1024);
                }
            }
            let metrics = directive["Metrics"].as_array().expect("metrics");
            assert!((1..=100).contains(&metrics.len()), "{document}");
            let mut names = BTreeSet::new();
            for metric in metrics {
                let members: BTreeSet<_> = metric.as_object().expect("a metric").keys().map(String::as_str).collect();
                assert_eq!(members, BTreeSet::from(["Name", "Unit"]));
                let name = text(&metric["Name"], 1024);
                assert!(matches!(metric["Unit"].as_str(), Some("Count" | "Milliseconds")), "{document}");
                assert!(document[name.as_str()].as_f64().is_some_and(f64::is_finite), "{document}");
                assert!(names.insert(name), "{document}");
            }
        }
    }

    #[test]
    fn documents_follow_the_specification() {
        let now = 1_795_000_000_000;
        let three =
            [("requests", "Count", 1.0), ("request_duration", "Milliseconds", 1.25), ("server_errors", "Count", 0.0)];
        let document = document(now, "authly", &[("endpoint", "token")], &three);
        check(&document);
        assert_eq!(
            document["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["function"], ["function", "endpoint"]])
        );
        assert_eq!(document["endpoint"], "token");
        assert_eq!(document["request_duration"], 1.25);
        check(&super::document(now, "authly", &[], &three));
        for event in Event::ALL {
            let counter = event.counter();
            let document =
                super::document(now, "authly", &[(counter.label, event.value())], &[(counter.name, "Count", 1.0)]);
            check(&document);
            assert_eq!(document[counter.label], event.value());
        }
    }
}
