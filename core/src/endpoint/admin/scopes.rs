//! Scopes.

use http::StatusCode;
use serde::Deserialize;

use super::{ATTEMPTS, Call, body, body::Problems, changed_meanwhile, conflict, created, no_content, not_found, page};
use crate::{
    audit::{Event, EventType},
    error::{Error, ProtocolError},
    model::{ScopeDescription, Scopes},
    ports::Host,
    response::Reply,
    router::Endpoint,
    server::Server,
    store::{Created, ScopeFilter, ScopeRecord, Store},
};

const MOST: u32 = 200;
const WRITABLE: [&str; 3] = ["description", "default", "active"];

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScopeBody {
    name: Option<String>,
    description: Option<String>,
    default: Option<bool>,
    active: Option<bool>,
}

impl ScopeBody {
    fn check(self, name: String) -> Result<ScopeDescription, ProtocolError> {
        let mut problems = Problems::default();
        if !Scopes::is_token(&name) || name.len() > 255 {
            problems.add(
                "/name",
                "it must be one word of 1 to 255 printable ASCII characters, without quotes or backslashes",
            );
        }
        let description = problems.text("/description", self.description, 1000);
        problems.finish()?;
        let (is_default, is_active) = (self.default.unwrap_or(false), self.active.unwrap_or(true));
        Ok(ScopeDescription { name, description, is_default, is_active })
    }
}

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn list_scopes(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let filter = ScopeFilter { name: None, text: call.search()?, is_active: call.flag("active")? };
        let (limit, after) = (call.limit(MOST)?, call.cursor::<String>()?);
        let scopes = self.store.scope_records(&filter, after.as_deref(), limit + 1).await?;
        Ok(page(scopes, limit, |scope| scope.name.clone()))
    }

    pub(super) async fn show_scope(&self, name: &str) -> Result<Reply, Error> {
        Ok(crate::response::json(StatusCode::OK, &self.scope_record(name).await?))
    }

    async fn scope_record(&self, name: &str) -> Result<ScopeRecord, Error> {
        let filter = ScopeFilter { name: Some(name.to_owned()), ..ScopeFilter::default() };
        self.store.scope_records(&filter, None, 1).await?.pop().ok_or_else(|| not_found("scope"))
    }

    pub(super) async fn create_scope(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut body: ScopeBody = body::json(call.exchange.request)?;
        let name = body.name.take().unwrap_or_default();
        let scope = body.check(name)?;
        let now = call.exchange.now;
        let record = ScopeRecord {
            name: scope.name.clone(),
            description: scope.description.clone(),
            default: scope.is_default,
            active: scope.is_active,
            created_at: now,
            updated_at: now,
        };
        let taken = || conflict("there is a scope of this name already");
        if call.is_dry_run {
            let filter = ScopeFilter { name: Some(scope.name.clone()), ..ScopeFilter::default() };
            if !self.store.scope_records(&filter, None, 1).await?.is_empty() {
                return Err(taken());
            }
            return Ok(call.object(StatusCode::CREATED, &record, &[]));
        }
        let audit = self.admin_record(call, Event::new(EventType::ScopeCreated).detail(&scope.name));
        if self.store.create_scope(self.new_id(now), &scope, now, Some(&audit)).await? == Created::Conflict {
            return Err(taken());
        }
        audit.log();
        let reply = call.object(StatusCode::CREATED, &record, &[]);
        Ok(created(reply, &self.admin_location(Endpoint::AdminScopes, &scope.name)))
    }

    pub(super) async fn change_scope(&self, call: &Call<'_>, name: &str) -> Result<Reply, Error> {
        let now = call.exchange.now;
        for _ in 0..ATTEMPTS {
            let known = self.scope_record(name).await?;
            let body: ScopeBody = body::merged(call.exchange.request, &known, &WRITABLE)?;
            let scope = body.check(known.name.clone())?;
            let changed = ScopeRecord {
                description: scope.description.clone(),
                default: scope.is_default,
                active: scope.is_active,
                updated_at: now,
                ..known.clone()
            };
            if call.is_dry_run {
                return Ok(call.object(StatusCode::OK, &changed, &[]));
            }
            let audit = self.admin_record(call, Event::new(EventType::ScopeChanged).detail(name));
            if self.store.update_scope(&scope, known.updated_at, now, Some(&audit)).await? {
                audit.log();
                self.forget_clients();
                return Ok(call.object(StatusCode::OK, &changed, &[]));
            }
        }
        Err(changed_meanwhile())
    }

    pub(super) async fn delete_scope(&self, call: &Call<'_>, name: &str) -> Result<Reply, Error> {
        self.scope_record(name).await?;
        if call.is_dry_run {
            return Ok(no_content());
        }
        let audit = self.admin_record(call, Event::new(EventType::ScopeDeleted).detail(name));
        if !self.store.delete_scope(name, Some(&audit)).await? {
            return Err(not_found("scope"));
        }
        audit.log();
        self.forget_clients();
        Ok(no_content())
    }
}
