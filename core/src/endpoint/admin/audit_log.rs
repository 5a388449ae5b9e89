//! The audit log, page by page or line by line.

use http::{StatusCode, header};
use uuid::Uuid;

use super::{Call, cursor_of, page};
use crate::{
    audit::{Outcome, Record},
    error::Error,
    model::Timestamp,
    ports::Host,
    response::{Reply, WithHeader, reply},
    router::Endpoint,
    server::Server,
    store::{AuditFilter, Store},
};

const MOST: u32 = 200;
/// Lines of one export: a few megabytes.
const MOST_LINES: u32 = 10_000;
const NDJSON: &str = "application/x-ndjson";

fn time(text: &str) -> Option<Timestamp> {
    // In a query, a plus sign is a space.
    chrono::DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok().map(|time| time.to_utc())
}

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn show_audit_log(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let rfc_3339 = "a time such as 2026-01-31T12:00:00Z";
        let filter = AuditFilter {
            event: call.text("event")?,
            outcome: call.filter("outcome", Outcome::parse, "success, failure or alert")?,
            user_id: call.uuid("user_id")?,
            client_id: call.text("client_id")?,
            since: call.filter("since", time, rfc_3339)?,
            until: call.filter("until", time, rfc_3339)?,
        };
        let accept = call.exchange.request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let is_export = accept.is_some_and(|accept| accept.contains(NDJSON));
        let limit = call.limit(if is_export { MOST_LINES } else { MOST })?;
        let records = self.store.audit_log(&filter, call.cursor::<Uuid>()?, limit + 1).await?;
        let result =
            if is_export { self.lines(call, records, limit) } else { page(records, limit, |r| r.id.to_string()) };
        Ok(result.with_header(header::VARY, "accept"))
    }

    /// One record a line, and a link to the next ones.
    fn lines(&self, call: &Call<'_>, mut records: Vec<Record>, limit: u32) -> Reply {
        let has_more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let lines: String = records.iter().map(|record| format!("{}\n", serde_json::json!(record))).collect();
        let answer = reply(StatusCode::OK, NDJSON, lines).with_header(header::CACHE_CONTROL, "no-store");
        match records.last().filter(|_| has_more) {
            Some(last) => {
                let cursor = cursor_of(&last.id.to_string());
                let query = call.query.with("cursor", &cursor).encode();
                let path = Endpoint::AdminAuditLog.path();
                let next = format!("<{}{path}?{query}>; rel=\"next\"", self.config.issuer.as_str());
                answer.with_header(header::LINK, &next)
            }
            None => answer,
        }
    }
}
