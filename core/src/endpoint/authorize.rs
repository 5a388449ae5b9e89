//! The authorization endpoint (RFC 6749 §3.1, OAuth 2.1 §3.1) and the consent form it leads to.
//!
//! Nothing is stored until the person decides: the request travels in the URL and in the form, and is validated anew
//! at every step.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::token::scope_not_allowed;
use crate::{
    audit::{Event, EventType, Record},
    error::{Error, ErrorCode, ProtocolError},
    grant::consent,
    model::{AuthorizationCode, Client, ClientId, CodeChallenge, RedirectUri, Scopes, SessionToken},
    page::{ConsentPage, ScopeLine},
    ports::Host,
    request::Parameters,
    response::{self, Reply, see_other},
    router::Endpoint,
    server::{CachedClient, Exchange, Server},
    store::{NewGrant, SessionAndConsent, Store},
    telemetry::{self, Authorization},
};

const CONSENT: &str = "consent";

/// Where the answer goes. From here on errors are sent to the client, not shown to the person.
pub(crate) struct Destination {
    client: Arc<CachedClient>,
    redirect_uri: RedirectUri,
    state: Option<String>,
}

/// An authorization request that can be granted.
struct AuthorizationRequest {
    scopes: Scopes,
    code_challenge: Option<CodeChallenge>,
    resources: Vec<String>,
}

impl Destination {
    pub(crate) fn client(&self) -> &Client {
        &self.client.client
    }

    /// What CSP must allow a form to lead to.
    pub(crate) fn csp_source(&self) -> String {
        self.redirect_uri.csp_source()
    }

    /// RFC 6749 §4.1.2, with `iss` by RFC 9207 §2.
    fn redirect(&self, issuer: &str, parameters: &[(&str, &str)]) -> Reply {
        let mut parameters = parameters.to_vec();
        if let Some(state) = &self.state {
            parameters.push(("state", state));
        }
        parameters.push(("iss", issuer));
        see_other(&self.redirect_uri.with_query(&parameters))
    }

    fn error(&self, issuer: &str, error: &ProtocolError) -> Reply {
        self.redirect(issuer, &[("error", error.code.as_str()), ("error_description", &error.description)])
    }
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn authorize(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let is_post = exchange.request.method() == Method::POST;
        let parameters =
            if is_post { Parameters::from_form(exchange.request)? } else { Parameters::from_query(exchange.request)? };
        let destination = self.destination_to_decide(&parameters, exchange).await?;
        let Some((token, known)) = self.person(exchange, destination.client()).await? else {
            // The person is authenticated before anything is sent to the client, errors included
            // (RFC 9700 §4.11.2). A form that another site posted comes without the cookie, which is SameSite=Lax;
            // it comes with the GET that follows the login page.
            return Ok(see_other(&self.login_location(&parameters.encode())));
        };
        if let Some(page) = self.unverified(&token, &known.session.user) {
            return Ok(page);
        }
        let request = match self.authorization_request(&parameters, destination.client()) {
            Ok(request) => request,
            Err(error) => return Ok(self.refuse_authorization(&destination, &error, Authorization::Invalid)),
        };
        let scopes = consent::grantable(&request.scopes, &known.session.user);
        let client = destination.client();
        let is_needed = consent::is_needed(
            client,
            &destination.redirect_uri,
            &scopes,
            known.consented.as_ref(),
            self.config.require_user_consent,
        );
        if is_needed {
            return Ok(self.consent_page(&destination, &known, &scopes, &token, &parameters.encode()));
        }
        self.grant_code(exchange, &destination, &known, request, scopes, false).await
    }

    /// The person's decision.
    pub(crate) async fn consent(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let request = form.require("request")?;
        let csrf_token = form.require("csrf_token")?;
        let decision = form.require("decision")?;
        let parameters = Parameters::parse(request.as_bytes())?;
        let destination = self.destination_to_decide(&parameters, exchange).await?;
        let Some((token, known)) = self.person(exchange, destination.client()).await? else {
            return Ok(see_other(&self.login_location(request)));
        };
        if !self.is_form_token(csrf_token, CONSENT, token.expose(), request) {
            let error = ProtocolError::invalid_request("the form was not made for this session");
            return Err(error.with_status(StatusCode::FORBIDDEN).into());
        }
        if let Some(page) = self.unverified(&token, &known.session.user) {
            return Ok(page);
        }
        let request = match self.authorization_request(&parameters, destination.client()) {
            Ok(request) => request,
            Err(error) => return Ok(self.refuse_authorization(&destination, &error, Authorization::Invalid)),
        };
        match decision {
            "allow" => {
                let scopes = consent::grantable(&request.scopes, &known.session.user);
                self.grant_code(exchange, &destination, &known, request, scopes, true).await
            }
            "deny" => {
                let event = Event::new(EventType::ConsentDenied);
                let event = event.user(known.session.user.id).client(&destination.client().client_id);
                self.audit(exchange, event).await;
                let error = ProtocolError::new(ErrorCode::AccessDenied, "the person did not allow it");
                Ok(self.refuse_authorization(&destination, &error, Authorization::Denied))
            }
            _ => Err(ProtocolError::invalid_request("decision must be allow or deny").into()),
        }
    }

    fn login_location(&self, request: &str) -> String {
        let base = self.config.issuer.path();
        let return_to = format!("{base}{}?{request}", Endpoint::Authorize.path());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", &return_to);
        format!("{base}{}?{}", Endpoint::Login.path(), query.finish())
    }

    async fn person(
        &self,
        exchange: &Exchange<'_>,
        client: &Client,
    ) -> Result<Option<(SessionToken, SessionAndConsent)>, Error> {
        let Some(token) = self.session_token(exchange) else {
            return Ok(None);
        };
        let known = self.store.session_and_consent(&token.digest(), client.id, exchange.now).await?;
        if known.is_some() {
            self.give_back(exchange);
        }
        Ok(known.map(|known| (token, known)))
    }

    /// The client and its redirect URI. Where either is wrong, the person sees an error and nobody is sent anywhere
    /// (RFC 6749 §4.1.2.1).
    pub(crate) async fn destination(
        &self,
        parameters: &Parameters,
        exchange: &Exchange<'_>,
    ) -> Result<Destination, Error> {
        let client_id = parameters.require("client_id")?;
        let unknown = || ProtocolError::new(ErrorCode::InvalidClient, "there is no active client with this client_id");
        let client_id = ClientId::parse(client_id).ok_or_else(unknown)?;
        let client = self.cached_client(&client_id, exchange.now).await?;
        let client = client.filter(|cached| cached.client.is_active).ok_or_else(unknown)?;
        let registered = &client.client.redirect_uris;
        let redirect_uri = match parameters.get("redirect_uri")? {
            Some(asked) => RedirectUri::parse(asked)
                .ok()
                .filter(|asked| registered.iter().any(|registered| asked.matches(registered)))
                .ok_or_else(|| ProtocolError::invalid_request("the redirect_uri is not registered for this client"))?,
            None => match registered.as_slice() {
                [only] => RedirectUri::parse(only)
                    .map_err(|error| ProtocolError::invalid_request(format!("the registered redirect_uri: {error}")))?,
                _ => {
                    let description = "redirect_uri is missing, and this client has not exactly one";
                    return Err(ProtocolError::invalid_request(description).into());
                }
            },
        };
        // A state that was sent twice is an error for the client, without any state to tell it by.
        let state = parameters.get("state").ok().flatten().map(str::to_owned);
        Ok(Destination { client, redirect_uri, state })
    }

    /// The same for a request that is decided here, and counted.
    async fn destination_to_decide(
        &self,
        parameters: &Parameters,
        exchange: &Exchange<'_>,
    ) -> Result<Destination, Error> {
        let destination = self.destination(parameters, exchange).await;
        if let Err(Error::Protocol(_)) = destination {
            self.host.count(telemetry::Event::Authorization(Authorization::Rejected));
        }
        destination
    }

    fn refuse_authorization(&self, destination: &Destination, error: &ProtocolError, result: Authorization) -> Reply {
        self.host.count(telemetry::Event::Authorization(result));
        destination.error(self.config.issuer.as_str(), error)
    }

    /// Everything else of the request; what is wrong here is sent to the client.
    fn authorization_request(
        &self,
        parameters: &Parameters,
        client: &Client,
    ) -> Result<AuthorizationRequest, ProtocolError> {
        parameters.get("state")?;
        if parameters.require("response_type")? != "code" {
            let description = "response_type must be code";
            return Err(ProtocolError::new(ErrorCode::UnsupportedResponseType, description));
        }
        if parameters.get("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(ProtocolError::invalid_request("response_mode must be query"));
        }
        if !client.grant_types.contains(&crate::model::GrantType::AuthorizationCode) {
            let description = "this client may not use the authorization code grant";
            return Err(ProtocolError::new(ErrorCode::UnauthorizedClient, description));
        }
        let code_challenge = self.code_challenge(parameters, client)?;
        let scopes = match parameters.get("scope")? {
            None => client.default_scopes(),
            Some(text) => {
                Scopes::parse(text).map_err(|error| ProtocolError::new(ErrorCode::InvalidScope, error.to_string()))?
            }
        };
        if !scopes.is_subset(&client.allowed_scopes()) {
            return Err(scope_not_allowed());
        }
        let resources = self.target(parameters)?;
        Ok(AuthorizationRequest { scopes, code_challenge, resources })
    }

    /// RFC 7636 §4.3, S256 only (OAuth 2.1 §7.5.2).
    fn code_challenge(&self, parameters: &Parameters, client: &Client) -> Result<Option<CodeChallenge>, ProtocolError> {
        let method = parameters.get("code_challenge_method")?;
        match (parameters.get("code_challenge")?, method) {
            (Some(challenge), Some("S256")) => CodeChallenge::parse(challenge)
                .map(Some)
                .map_err(|error| ProtocolError::invalid_request(error.to_string())),
            (Some(_), _) => Err(ProtocolError::invalid_request("code_challenge_method must be S256")),
            (None, Some(_)) => Err(ProtocolError::invalid_request("code_challenge_method needs a code_challenge")),
            (None, None) if self.config.pkce_required || client.require_pkce || !client.is_confidential() => {
                Err(ProtocolError::invalid_request("code_challenge is required, with code_challenge_method=S256"))
            }
            (None, None) => Ok(None),
        }
    }

    fn consent_page(
        &self,
        destination: &Destination,
        known: &SessionAndConsent,
        scopes: &Scopes,
        token: &SessionToken,
        request: &str,
    ) -> Reply {
        let client = destination.client();
        let lines: Vec<_> = client
            .scopes
            .iter()
            .filter(|scope| scopes.contains(&scope.name))
            .map(|scope| ScopeLine { name: &scope.name, description: &scope.description })
            .collect();
        let page = ConsentPage {
            base: self.config.issuer.path(),
            client_name: &client.name,
            client_host: &destination.redirect_uri.display_host(),
            client_uri: client.client_uri.as_deref(),
            user: &known.session.user.username,
            scopes: &lines,
            csrf_token: &self.form_token(CONSENT, token.expose(), request),
            request,
        };
        response::page(StatusCode::OK, &page, Some(&destination.csp_source()))
    }

    async fn grant_code(
        &self,
        exchange: &Exchange<'_>,
        destination: &Destination,
        known: &SessionAndConsent,
        request: AuthorizationRequest,
        scopes: Scopes,
        remember_consent: bool,
    ) -> Result<Reply, Error> {
        let code = AuthorizationCode::generate(&self.host);
        let id = self.new_id(exchange.now);
        let audit = remember_consent.then(|| {
            let event = Event::new(EventType::ConsentGranted).user(known.session.user.id).grant(id);
            self.audit_record(exchange, event.client(&destination.client().client_id).detail(scopes.to_string()))
        });
        let grant = NewGrant {
            id,
            user_id: known.session.user.id,
            client_id: destination.client().id,
            scopes,
            resources: request.resources,
            authenticated_at: known.session.authenticated_at,
            created_at: exchange.now,
            expires_at: exchange.now + self.config.grant_lifetime,
            code: code.digest(),
            code_expires_at: exchange.now + self.config.authorization_code_lifetime,
            redirect_uri: destination.redirect_uri.clone(),
            code_challenge: request.code_challenge,
            origin: exchange.origin(),
            remember_consent,
            audit,
        };
        self.store.create_grant(&grant).await?;
        grant.audit.iter().for_each(Record::log);
        self.host.count(telemetry::Event::Authorization(Authorization::Granted));
        Ok(destination.redirect(self.config.issuer.as_str(), &[("code", code.expose())]))
    }
}
