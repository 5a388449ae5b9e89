//! Where people are logged in, and what they allowed whom.

use uuid::Uuid;

use super::{Call, no_content, not_found, page};
use crate::{
    audit::{Event, EventType},
    error::Error,
    model::ClientId,
    ports::Host,
    response::Reply,
    server::Server,
    store::{GrantFilter, SessionFilter, Store},
};

const MOST: u32 = 200;

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn list_sessions(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let filter = SessionFilter { id: None, user_id: call.uuid("user_id")? };
        let (limit, after) = (call.limit(MOST)?, call.cursor::<Uuid>()?);
        let sessions = self.store.session_records(&filter, after, limit + 1, call.exchange.now).await?;
        Ok(page(sessions, limit, |session| session.id.to_string()))
    }

    pub(super) async fn end_any_session(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let unknown = || not_found("session");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let filter = SessionFilter { id: Some(id), user_id: None };
        let known = self.store.session_records(&filter, None, 1, call.exchange.now).await?.pop();
        let known = known.ok_or_else(unknown)?;
        if call.is_dry_run {
            return Ok(no_content());
        }
        let audit = self.admin_record(call, Event::new(EventType::SessionEnded).user(known.user_id));
        if !self.store.end_any_session(id, Some(&audit)).await? {
            return Err(unknown());
        }
        audit.log();
        Ok(no_content())
    }

    pub(super) async fn list_grants(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let filter = GrantFilter {
            id: None,
            user_id: call.uuid("user_id")?,
            client_id: call.text("client_id")?,
            is_revoked: call.flag("revoked")?,
        };
        let (limit, after) = (call.limit(MOST)?, call.cursor::<Uuid>()?);
        let grants = self.store.grant_records(&filter, after, limit + 1).await?;
        Ok(page(grants, limit, |grant| grant.id.to_string()))
    }

    /// Revoking what is revoked already is done already.
    pub(super) async fn revoke_any_grant(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let unknown = || not_found("grant");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let filter = GrantFilter { id: Some(id), ..GrantFilter::default() };
        let known = self.store.grant_records(&filter, None, 1).await?.pop().ok_or_else(unknown)?;
        if call.is_dry_run {
            return Ok(no_content());
        }
        let event = Event::new(EventType::GrantRevoked).user(known.user_id).grant(id);
        let event = match ClientId::parse(&known.client_id) {
            Some(client_id) => event.client(&client_id),
            None => event,
        };
        let audit = self.admin_record(call, event);
        if self.store.revoke_grant(id, call.exchange.now, Some(&audit)).await? {
            audit.log();
        }
        Ok(no_content())
    }
}
