//! The token endpoint (RFC 6749 §3.2, OAuth 2.1 §3.2). Grant types are dispatched here and nowhere else.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;

use crate::{
    audit::{Event, EventType},
    crypto::{
        KeyRing,
        jwt::{self, AccessClaims, Audience},
    },
    error::{Error, ErrorCode, ProtocolError},
    model::{AuthorizationCode, Client, CodeVerifier, GrantType, Resource, Scopes},
    ports::Host,
    request::Parameters,
    response::{Reply, json},
    server::{Exchange, Server},
    store::{CodeOutcome, CodeRedemption, Grant, NewRefreshToken, RefreshOutcome, RefreshRotation, Store},
    telemetry::{self, Replayed},
};

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    scope: String,
}

/// What a grant type decided to issue.
struct Issuance {
    scopes: Scopes,
    resources: Vec<String>,
    /// None where a client acts for itself.
    grant: Option<Grant>,
    refresh_token: Option<String>,
}

fn form(request: &Request<Bytes>) -> Result<Parameters, ProtocolError> {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(ProtocolError::invalid_request("parameters belong in the body, not in the URI"));
    }
    Parameters::from_form(request)
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn token(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = form(exchange.request)?;
        let grant_type = form.require("grant_type")?;
        let Some(grant_type) = GrantType::parse(grant_type) else {
            let description = "the grant type must be authorization_code, refresh_token or client_credentials";
            return Err(ProtocolError::new(ErrorCode::UnsupportedGrantType, description).into());
        };
        self.grant(exchange, &form, grant_type).await
    }

    /// `/auth/refresh`: the token endpoint with `grant_type=refresh_token` implied.
    pub(crate) async fn refresh(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = form(exchange.request)?;
        if form.get("grant_type")?.is_some_and(|grant_type| grant_type != GrantType::RefreshToken.name()) {
            let description = "this endpoint knows grant_type=refresh_token only; use /auth/token";
            return Err(ProtocolError::new(ErrorCode::UnsupportedGrantType, description).into());
        }
        self.grant(exchange, &form, GrantType::RefreshToken).await
    }

    async fn grant(&self, exchange: &Exchange<'_>, form: &Parameters, grant_type: GrantType) -> Result<Reply, Error> {
        let client = self.authenticate_client(exchange, form).await?;
        let client = &client.client;
        if !client.grant_types.contains(&grant_type) {
            let description = format!("this client may not use grant_type={}", grant_type.name());
            return Err(ProtocolError::new(ErrorCode::UnauthorizedClient, description).into());
        }
        // Before anything is used up: where no token can be signed, no code is lost.
        let keys = self.key_ring(exchange.now).await?;
        let issuance = match grant_type {
            GrantType::AuthorizationCode => self.redeem_code(exchange, form, client).await?,
            GrantType::RefreshToken => self.rotate_refresh_token(exchange, form, client).await?,
            GrantType::ClientCredentials => self.client_credentials(form, client)?,
        };
        self.host.count(telemetry::Event::TokenIssued(grant_type));
        Ok(self.issue(exchange, &keys, client, issuance))
    }

    /// RFC 6749 §4.1.3 with PKCE (RFC 7636 §4.5).
    async fn redeem_code(
        &self,
        exchange: &Exchange<'_>,
        form: &Parameters,
        client: &Client,
    ) -> Result<Issuance, Error> {
        // One answer for every reason: whoever guesses learns nothing.
        let refused = || {
            ProtocolError::invalid_grant(
                "the authorization code is unknown, expired or used, or client, redirect_uri or code_verifier do \
                 not belong to it",
            )
        };
        let code = form.require("code")?;
        let redirect_uri = form.get("redirect_uri")?.map(str::to_owned);
        let code_challenge = form
            .get("code_verifier")?
            .map(CodeVerifier::parse)
            .transpose()
            .map_err(|error| ProtocolError::invalid_request(error.to_string()))?
            .map(|verifier| verifier.challenge());
        let code = AuthorizationCode::parse(code).ok_or_else(refused)?;
        let refresh_token = client
            .grant_types
            .contains(&GrantType::RefreshToken)
            .then(|| self.refresh_tokens.first(self.new_id(exchange.now), &self.host));
        let redemption = CodeRedemption {
            code: code.digest(),
            client_id: client.id,
            redirect_uri,
            code_challenge,
            resources: self.requested_resources(form)?,
            now: exchange.now,
            refresh_token: refresh_token.as_ref().map(|token| NewRefreshToken {
                id: token.id(),
                digest: token.digest(),
                idle_expires_at: exchange.now + self.config.refresh_token_lifetime,
            }),
        };
        let grant = match self.store.redeem_code(&redemption).await? {
            CodeOutcome::Issued(grant) => grant,
            CodeOutcome::Replayed(grant_id) => {
                self.host.count(telemetry::Event::Replay(Replayed::AuthorizationCode));
                let event = Event::new(EventType::CodeReplayed).client(&client.client_id).grant(grant_id);
                self.audit(exchange, event).await;
                return Err(refused().into());
            }
            CodeOutcome::TargetExceeded => return Err(target_exceeded().into()),
            CodeOutcome::Expired | CodeOutcome::Mismatched | CodeOutcome::Revoked | CodeOutcome::Unknown => {
                return Err(refused().into());
            }
        };
        Ok(Issuance {
            scopes: grant.scopes.clone(),
            resources: narrowed(redemption.resources, &grant.resources),
            grant: Some(grant),
            refresh_token: refresh_token.map(|token| self.refresh_tokens.encode(&token)),
        })
    }

    /// RFC 6749 §6; rotation by RFC 9700 §4.14.2.
    async fn rotate_refresh_token(
        &self,
        exchange: &Exchange<'_>,
        form: &Parameters,
        client: &Client,
    ) -> Result<Issuance, Error> {
        let refused = || ProtocolError::invalid_grant("the refresh token is unknown, expired, revoked or used");
        let token = form.require("refresh_token")?;
        let scopes = parse_scopes(form)?;
        let token = self.refresh_tokens.authenticate(token).ok_or_else(refused)?;
        let successor = self.refresh_tokens.successor(&token);
        let rotation = RefreshRotation {
            id: token.id(),
            generation: token.generation(),
            digest: token.digest(),
            successor: successor.digest(),
            client_id: client.id,
            now: exchange.now,
            retry_since: exchange.now - self.config.refresh_retry_window,
            idle_expires_at: exchange.now + self.config.refresh_token_lifetime,
            scopes,
            resources: self.requested_resources(form)?,
        };
        let grant = match self.store.rotate_refresh_token(&rotation).await? {
            RefreshOutcome::Rotated(grant) | RefreshOutcome::Repeated(grant) => grant,
            RefreshOutcome::Replayed(grant_id) => {
                self.host.count(telemetry::Event::Replay(Replayed::RefreshToken));
                let event = Event::new(EventType::RefreshTokenReplayed).client(&client.client_id).grant(grant_id);
                self.audit(exchange, event).await;
                return Err(refused().into());
            }
            RefreshOutcome::ScopeExceeded => {
                let description = "more scopes were asked for than were granted";
                return Err(ProtocolError::new(ErrorCode::InvalidScope, description).into());
            }
            RefreshOutcome::TargetExceeded => return Err(target_exceeded().into()),
            RefreshOutcome::Expired
            | RefreshOutcome::Mismatched
            | RefreshOutcome::Revoked
            | RefreshOutcome::Unknown => return Err(refused().into()),
        };
        Ok(Issuance {
            scopes: rotation.scopes.unwrap_or_else(|| grant.scopes.clone()),
            resources: narrowed(rotation.resources, &grant.resources),
            grant: Some(grant),
            refresh_token: Some(self.refresh_tokens.encode(&successor)),
        })
    }

    /// RFC 6749 §4.4: no row is written, and there is no refresh token.
    fn client_credentials(&self, form: &Parameters, client: &Client) -> Result<Issuance, ProtocolError> {
        if !client.is_confidential() {
            let description = "client_credentials is for confidential clients only";
            return Err(ProtocolError::new(ErrorCode::UnauthorizedClient, description));
        }
        let scopes = match parse_scopes(form)? {
            None => client.default_scopes(),
            Some(scopes) if scopes.is_subset(&client.allowed_scopes()) => scopes,
            Some(_) => return Err(scope_not_allowed()),
        };
        Ok(Issuance { scopes, resources: self.target(form)?, grant: None, refresh_token: None })
    }

    fn issue(&self, exchange: &Exchange<'_>, keys: &KeyRing, client: &Client, issuance: Issuance) -> Reply {
        let Issuance { scopes, resources, grant, refresh_token } = issuance;
        let mut expires_at = exchange.now + self.config.access_token_lifetime;
        if let Some(grant) = &grant {
            expires_at = expires_at.min(grant.expires_at);
        }
        let scope = scopes.to_string();
        let client_id = client.client_id.as_str();
        let claims = AccessClaims {
            iss: self.config.issuer.as_str().to_owned(),
            sub: grant.as_ref().map_or_else(|| client_id.to_owned(), |grant| grant.user_id.to_string()),
            aud: Audience::from(resources),
            jti: self.new_id(exchange.now).simple().to_string(),
            client_id: client_id.to_owned(),
            scope: scope.clone(),
            grant_id: grant.as_ref().map(|grant| grant.id),
            auth_time: grant.as_ref().map(|grant| grant.authenticated_at.timestamp()),
        };
        let access_token = jwt::issue(keys, claims, exchange.now, expires_at);
        let expires_in = (expires_at - exchange.now).num_seconds();
        json(StatusCode::OK, &TokenResponse { access_token, token_type: "Bearer", expires_in, refresh_token, scope })
    }

    /// Whom new tokens are for: the resources of the request, or the default audience.
    pub(crate) fn target(&self, parameters: &Parameters) -> Result<Vec<String>, ProtocolError> {
        let resources = self.requested_resources(parameters)?;
        Ok(if resources.is_empty() { vec![self.config.audience.clone()] } else { resources })
    }

    /// The `resource` parameters (RFC 8707 §2), each of which this server must issue tokens for.
    fn requested_resources(&self, parameters: &Parameters) -> Result<Vec<String>, ProtocolError> {
        let invalid = |description| ProtocolError::new(ErrorCode::InvalidTarget, description);
        let mut resources: Vec<String> = Vec::new();
        for resource in parameters.all("resource").filter(|resource| !resource.is_empty()) {
            let resource = Resource::parse(resource)
                .ok_or_else(|| invalid("a resource must be an absolute URI without a fragment"))?;
            if !self.config.is_known_resource(resource.as_str()) {
                return Err(invalid("this server issues no tokens for this resource; see RESOURCES"));
            }
            if !resources.iter().any(|known| known == resource.as_str()) {
                resources.push(resource.as_str().to_owned());
            }
        }
        Ok(resources)
    }
}

/// A token request may ask for some of the resources that were granted (RFC 8707 §2.2), and gets all otherwise.
fn narrowed(requested: Vec<String>, granted: &[String]) -> Vec<String> {
    if requested.is_empty() { granted.to_vec() } else { requested }
}

fn target_exceeded() -> ProtocolError {
    ProtocolError::new(ErrorCode::InvalidTarget, "the resource was not part of the authorization request")
}

fn parse_scopes(form: &Parameters) -> Result<Option<Scopes>, ProtocolError> {
    form.get("scope")?
        .map(Scopes::parse)
        .transpose()
        .map_err(|error| ProtocolError::new(ErrorCode::InvalidScope, error.to_string()))
}

/// `invalid_scope` for a scope that the client may not ask for or that does not exist.
pub(crate) fn scope_not_allowed() -> ProtocolError {
    ProtocolError::new(ErrorCode::InvalidScope, "a scope is unknown, or this client may not ask for it")
}
