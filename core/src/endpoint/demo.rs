//! A client of our own, for the first five minutes: `/demo` starts the whole flow in a browser, and
//! `/demo/callback` shows what came of it. Served only outside production, and by the real endpoints throughout.

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use crate::{
    error::{Error, ErrorCode, Fault, ProtocolError},
    model::CodeVerifier,
    page::DemoPage,
    ports::Host,
    request::{Parameters, cookie},
    response::{self, Reply, WithHeader, http_only_cookie, see_other},
    router::Endpoint,
    server::{Exchange, Server},
    store::Store,
};

/// The `client_id` of the demo's public client.
pub const DEMO_CLIENT_ID: &str = "authly-demo";
const COOKIE: &str = "authly_demo";

impl<S: Store, H: Host> Server<S, H> {
    fn demo_redirect_uri(&self) -> String {
        format!("{}{}", self.config.issuer, Endpoint::DemoCallback.path())
    }

    pub(crate) async fn demo(&self, _: &Exchange<'_>) -> Result<Reply, Error> {
        let (mut verifier, mut state) = ([0; 32], [0; 16]);
        self.host.fill(&mut verifier);
        self.host.fill(&mut state);
        let verifier = CodeVerifier::from_random(&verifier);
        let state = Base64UrlUnpadded::encode_string(&state);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", DEMO_CLIENT_ID)
            .append_pair("redirect_uri", &self.demo_redirect_uri())
            .append_pair("scope", "profile read")
            .append_pair("state", &state)
            .append_pair("code_challenge", &verifier.challenge().to_string())
            .append_pair("code_challenge_method", "S256");
        let location = format!("{}{}?{}", self.config.issuer.path(), Endpoint::Authorize.path(), query.finish());
        let kept = format!("{state}.{}", verifier.expose());
        Ok(see_other(&location).with_cookie(&http_only_cookie(&self.config, COOKIE, &kept, Some(600))))
    }

    pub(crate) async fn demo_callback(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        if let Some(error) = parameters.get("error")? {
            let description = parameters.get("error_description")?.unwrap_or_default();
            let error = format!("the answer was {error}: {description}. Open /demo to try again.");
            return Err(ProtocolError::new(ErrorCode::AccessDenied, error).into());
        }
        let kept = cookie(exchange.request.headers(), COOKIE).and_then(|kept| kept.split_once('.'));
        let state = parameters.get("state")?;
        let Some((_, verifier)) = kept.filter(|(kept, _)| state == Some(kept)) else {
            let description = "the state is not the one this browser started with; open /demo to start again";
            return Err(ProtocolError::invalid_request(description).into());
        };
        if parameters.get("iss")? != Some(self.config.issuer.as_str()) {
            return Err(ProtocolError::invalid_request("iss is not the issuer that was asked (RFC 9207)").into());
        }
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("client_id", DEMO_CLIENT_ID)
            .append_pair("redirect_uri", &self.demo_redirect_uri())
            .append_pair("code", parameters.require("code")?)
            .append_pair("code_verifier", verifier)
            .finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(Endpoint::Token.path())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .map_err(|_| Fault::Internal("the demo's token request is not valid"))?;
        // It comes from the same place.
        *request.extensions_mut() = exchange.request.extensions().clone();
        let exchange = Exchange { request: &request, ..*exchange };
        // Through the token endpoint itself, as any client; boxed, since an endpoint calls an endpoint.
        let reply = Box::pin(self.token(&exchange)).await?;
        let tokens: Value =
            serde_json::from_slice(reply.body()).map_err(|_| Fault::Internal("the token response is not JSON"))?;
        let gone = http_only_cookie(&self.config, COOKIE, "", Some(0));
        Ok(self.demo_page(&tokens).with_cookie(&gone))
    }

    fn demo_page(&self, tokens: &Value) -> Reply {
        let issuer = self.config.issuer.as_str();
        let text = |name: &str| tokens[name].as_str().unwrap_or_default();
        let access_token = text("access_token");
        let mut parts = access_token.split('.').map(|part| {
            let json = Base64UrlUnpadded::decode_vec(part).ok();
            let value = json.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).unwrap_or_default();
            (serde_json::to_string_pretty(&value).unwrap_or_default(), value)
        });
        let (header, header_value) = parts.next().unwrap_or_default();
        let (claims, claims_value) = parts.next().unwrap_or_default();
        let field = |value: &Value, name: &str| match &value[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let facts = [
            ("Issued by (iss)", field(&claims_value, "iss")),
            ("Speaks for (sub)", field(&claims_value, "sub")),
            ("Meant for (aud)", field(&claims_value, "aud")),
            ("Signed with (alg)", field(&header_value, "alg")),
        ];
        let curl = [
            (
                "Ask who you are",
                format!("curl -H 'Authorization: Bearer {access_token}' {issuer}{}", Endpoint::Me.path()),
            ),
            (
                "Refresh: a new access token, and the next refresh token",
                format!(
                    "curl -d client_id={DEMO_CLIENT_ID} -d refresh_token={} {issuer}{}",
                    text("refresh_token"),
                    Endpoint::Refresh.path()
                ),
            ),
            ("The keys that a resource server verifies with", format!("curl {issuer}{}", Endpoint::Jwks.path())),
            ("Everything that this server can do", format!("curl {issuer}{}", Endpoint::Metadata.path())),
        ];
        let page = DemoPage {
            base: self.config.issuer.path(),
            issuer,
            access_token,
            header: &header,
            claims: &claims,
            facts: &facts,
            refresh_token: tokens["refresh_token"].as_str(),
            scope: text("scope"),
            expires_in: tokens["expires_in"].as_u64().unwrap_or_default(),
            curl: &curl,
        };
        response::page(StatusCode::OK, &page, None)
    }
}
