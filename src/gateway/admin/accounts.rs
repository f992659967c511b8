//! `/api/cli-proxy-api/*` and `/api/auth/*`: the Claude and Codex accounts behind OAuth upstreams. Logins from anywhere, by
//! pasting; what the accounts are, offer and have left; switching off and logging out. No token and no address to fetch
//! passes here: the sidecar's own management interface is never exposed.

use super::{Answer, Outcome, Request, door, not_found, object, write_common_fields};
use crate::error::{Blame, Error, Kind};
use crate::gateway::Refusal;
use crate::gateway::models::decode;
use crate::log;
use crate::net::exchange::Exchange;
use crate::net::{First, race};
use crate::sidecar::accounts::{self, Provider};
use crate::sidecar::progress::Progress;
use crate::sidecar::quota;
use crate::wire::head::{Method, write_field};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A page that waits for a login hears something at least this often, as it does from the original.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What a path of the accounts names; names are still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room<'p> {
    Status,
    Start,
    Quota,
    /// To be started and left, for an upstream.
    Login(&'p str),
    /// To be handed the address that a login ended on.
    Complete(&'p str),
    /// How an upstream's login is going.
    Watch(&'p str),
    /// All accounts of an upstream's provider, to be logged out.
    Token(&'p str),
    /// One account, to be switched off, on or out.
    Account(&'p str),
    ModelsOf(&'p str),
}

impl<'p> Room<'p> {
    pub fn of(path: &'p str) -> Option<Room<'p>> {
        let is_name = |name: &&str| !name.is_empty() && !name.contains('/');
        if let Some(rest) = path.strip_prefix("/api/auth/") {
            let named = |folder: &str| rest.strip_prefix(folder).filter(is_name);
            return named("login/")
                .map(Room::Login)
                .or_else(|| named("token/").map(Room::Token));
        }
        let rest = path.strip_prefix("/api/cli-proxy-api/")?;
        let named = |folder: &str| rest.strip_prefix(folder).filter(is_name);
        Some(match rest {
            "status" => Room::Status,
            "start" => Room::Start,
            "quota" => Room::Quota,
            _ => {
                let account = rest.strip_prefix("accounts/");
                let models = account.and_then(|rest| rest.strip_suffix("/models"));
                if let Some(name) = models.filter(is_name) {
                    return Some(Room::ModelsOf(name));
                }
                named("login/")
                    .map(Room::Login)
                    .or_else(|| named("complete-login/").map(Room::Complete))
                    .or_else(|| named("login-stream/").map(Room::Watch))
                    .or_else(|| named("accounts/").map(Room::Account))?
            }
        })
    }

    pub fn methods(self) -> &'static [Method] {
        use Method::{Delete, Get, Head, Options, Patch, Post};
        match self {
            Room::Status | Room::Quota | Room::ModelsOf(_) => &[Get, Head, Options],
            Room::Watch(_) => &[Get, Options],
            Room::Start | Room::Complete(_) => &[Post, Options],
            Room::Login(_) => &[Post, Delete, Options],
            Room::Token(_) => &[Delete, Options],
            Room::Account(_) => &[Patch, Delete, Options],
        }
    }
}

/// A name of a path, as it is.
fn name_of(encoded: &str) -> Result<String, Error> {
    let encoded = encoded.replace('+', "%2B"); // a plus in a path is a plus
    let name = decode(&encoded).map_err(|fault| fault.blame(Blame::Client))?;
    Ok(name.into_owned())
}

impl Request<'_> {
    pub(super) async fn accounts(
        &self,
        room: Room<'_>,
        exchange: &mut Exchange,
        id: &str,
    ) -> Result<Outcome, Refusal> {
        let deletes = self.head.method == Method::Delete;
        Ok(Outcome::Answer(match room {
            Room::Watch(name) => {
                self.watch_login(name, exchange, id).await?;
                return Ok(Outcome::Done);
            }
            Room::Status => self.account_status().await?,
            Room::Start => self.start_sidecar().await?,
            Room::Quota => {
                let quotas = self.app.sidecar()?.quota().await?;
                let mut body = Vec::new();
                quota::write_json(&quotas, &mut body);
                Answer::raw(body)
            }
            Room::Login(name) if deletes => self.cancel_login(name).await?,
            Room::Login(name) => self.start_login(name, exchange).await?,
            Room::Complete(name) => self.complete_login(name, exchange).await?,
            Room::Token(name) => self.log_out(name).await?,
            Room::Account(name) if deletes => {
                let name = name_of(name)?;
                self.app.sidecar()?.delete_account(&name).await?;
                log::info!("an account was logged out", account = name);
                Answer::ok(&json!({"success": true, "removed": 1}))
            }
            Room::Account(name) => self.switch_account(name, exchange).await?,
            Room::ModelsOf(name) => {
                let models = self.app.sidecar()?.account_models(&name_of(name)?).await?;
                let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
                let mut detailed = Vec::new();
                accounts::write_models(&models, &mut detailed);
                let detailed: Value = serde_json::from_slice(&detailed).unwrap_or_default();
                Answer::ok(&json!({"object": "list", "data": ids, "models": detailed}))
            }
        }))
    }

    /// The upstream of that name, disabled or not, and whose accounts it uses.
    fn account_upstream(&self, name: &str) -> Result<(String, Provider), Error> {
        let name = name_of(name)?;
        let mut upstreams = self.snapshot.upstreams.iter();
        let Some(upstream) = upstreams.find(|upstream| upstream.name == name) else {
            return Err(not_found(format!("there is no upstream named {name:?}")));
        };
        let provider = upstream.provider().ok_or_else(|| {
            let message = format!(
                "the upstream {name:?} has a key and no accounts: its auth is not anthropic_oauth or codex_oauth"
            );
            Error::client(Kind::BadRequest, message)
        })?;
        Ok((name, provider))
    }

    /// `state` of the query: which of an upstream's logins.
    fn state(&self) -> Option<Cow<'_, str>> {
        let mut pairs = self.head.query()?.split('&');
        let state = pairs.find_map(|pair| pair.strip_prefix("state="))?;
        decode(state).ok().filter(|state| !state.is_empty())
    }

    async fn start_login(&self, name: &str, exchange: &mut Exchange) -> Result<Answer, Error> {
        let (name, provider) = self.account_upstream(name)?;
        let body = self.body(exchange).await?;
        let manual = !body.data().is_empty()
            && object(&body)?.get("manual").and_then(Value::as_bool) == Some(true);
        drop(body);
        let sidecar = self.app.sidecar()?;
        let is_ours = sidecar.state().borrow().managed;
        let same_machine = !manual && is_ours && door::is_beside_us(self.head, exchange);
        let started = sidecar.login(&name, provider, same_machine).await?;
        let mut body = Vec::new();
        started.write_json(&mut body);
        Ok(Answer::raw(body))
    }

    async fn complete_login(&self, name: &str, exchange: &mut Exchange) -> Result<Answer, Error> {
        let (_, provider) = self.account_upstream(name)?;
        let body = self.body(exchange).await?;
        let body = object(&body)?;
        let text = body.get("callback_url").and_then(Value::as_str);
        let text = text.ok_or_else(|| {
            let message = "the body must be {\"callback_url\":\"…\"}: the address of the page that the login ended on";
            Error::client(Kind::BadRequest, message)
        })?;
        self.app.sidecar()?.complete(provider, text).await?;
        let message = Progress::Exchanging.message();
        Ok(Answer::ok(&json!({"success": true, "message": message})))
    }

    async fn cancel_login(&self, name: &str) -> Result<Answer, Error> {
        let (name, _) = self.account_upstream(name)?;
        let state = self.state();
        let cancelled = self.app.sidecar()?.cancel(&name, state.as_deref()).await;
        Ok(Answer::ok(
            &json!({"success": true, "cancelled": cancelled}),
        ))
    }

    /// Tells how a login is going until it is over, the viewer leaves or the process stops.
    async fn watch_login(
        &self,
        name: &str,
        exchange: &mut Exchange,
        id: &str,
    ) -> Result<(), Refusal> {
        let (name, _) = self.account_upstream(name)?;
        let state = self.state();
        let progress = self.app.sidecar()?.progress(&name, state.as_deref());
        let Some(mut progress) = progress else {
            return Err(not_found("no login of this upstream was started").into());
        };
        let mut stopping = exchange.stopping();
        exchange.begin(200, None, |out| {
            write_field(out, "content-type", b"text/event-stream; charset=utf-8");
            write_field(out, "x-accel-buffering", b"no");
            write_common_fields(out, id);
        });
        let mut out = Vec::new();
        let mut news = true;
        loop {
            let mut is_over = false;
            if news {
                let now = progress.borrow_and_update().clone();
                out.extend_from_slice(b"data: ");
                now.write_json(&name, &mut out);
                out.extend_from_slice(b"\n\n");
                is_over = now.is_final();
            }
            let sent = exchange.write(&out).await;
            sent.map_err(|_| Refusal::ClientLeft)?;
            out.clear();
            if is_over {
                break;
            }
            let (gone, _) = exchange.waiting();
            let stopped = async {
                let _ = stopping.wait_for(|stop| *stop).await; // an error: the process ends
            };
            let ends = race(gone, stopped);
            match race(progress.changed(), race(sleep(HEARTBEAT), ends)).await {
                First::A(Ok(())) => news = true,
                First::A(Err(_)) => break, // so old that it was forgotten
                First::B(First::A(())) => {
                    news = false;
                    out.extend_from_slice(b": keep-alive\n\n");
                }
                First::B(First::B(First::A(()))) => return Err(Refusal::ClientLeft),
                First::B(First::B(First::B(()))) => break,
            }
        }
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)
    }

    async fn account_status(&self) -> Result<Answer, Error> {
        let Ok(sidecar) = self.app.sidecar() else {
            return Ok(Answer::ok(&json!({"providers": {}, "sidecar": null})));
        };
        // That it cannot list its accounts (a wrong key, say) is a part of how it is.
        let (accounts, error) = match sidecar.accounts().await {
            Ok(accounts) => (accounts, None),
            Err(error) => (Vec::new(), Some(error.message)),
        };
        let mut body = Vec::new();
        accounts::write_status(&accounts, &mut body);
        let mut status: Value = serde_json::from_slice(&body).unwrap_or_default();
        status["sidecar"] = self.sidecar_state()?;
        if let Some(error) = error {
            status["error"] = error.into();
        }
        Ok(Answer::ok(&status))
    }

    fn sidecar_state(&self) -> Result<Value, Error> {
        let mut body = Vec::new();
        let view = self.app.sidecar()?.state();
        view.borrow().write_json(Instant::now(), &mut body);
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn start_sidecar(&self) -> Result<Answer, Error> {
        self.app.sidecar()?.retry().await;
        self.app.sidecar_ready().await?;
        let state = self.sidecar_state()?;
        Ok(Answer::ok(&json!({"success": true, "sidecar": state})))
    }

    async fn log_out(&self, name: &str) -> Result<Answer, Error> {
        let (_, provider) = self.account_upstream(name)?;
        let removed = self.app.sidecar()?.log_out(provider).await?;
        log::info!(
            "accounts were logged out",
            provider = provider.name(),
            accounts = removed
        );
        Ok(Answer::ok(&json!({"success": true, "removed": removed})))
    }

    async fn switch_account(&self, name: &str, exchange: &mut Exchange) -> Result<Answer, Error> {
        let name = name_of(name)?;
        let body = self.body(exchange).await?;
        let disabled = object(&body)?.get("disabled").and_then(Value::as_bool);
        let disabled = disabled.ok_or_else(|| {
            Error::client(
                Kind::BadRequest,
                "the body must be {\"disabled\":true} or false",
            )
        })?;
        self.app.sidecar()?.set_disabled(&name, disabled).await?;
        Ok(Answer::ok(&json!({"success": true, "disabled": disabled})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_one_thing() {
        let base = "/api/cli-proxy-api";
        let path = |rest: &str| format!("{base}{rest}");
        assert_eq!(Room::of(&path("/status")), Some(Room::Status));
        assert_eq!(Room::of(&path("/login/a%2Fb")), Some(Room::Login("a%2Fb")));
        assert_eq!(
            Room::of("/api/auth/login/status"),
            Some(Room::Login("status"))
        );
        assert_eq!(Room::of("/api/auth/token/x"), Some(Room::Token("x")));
        assert_eq!(Room::of(&path("/login-stream/x")), Some(Room::Watch("x")));
        assert_eq!(
            Room::of(&path("/complete-login/x")),
            Some(Room::Complete("x"))
        );
        let account = path("/accounts/claude-a@b.c.json");
        assert_eq!(Room::of(&account), Some(Room::Account("claude-a@b.c.json")));
        let models = format!("{account}/models");
        assert_eq!(Room::of(&models), Some(Room::ModelsOf("claude-a@b.c.json")));
        assert_eq!(
            Room::of(&path("/accounts/models")),
            Some(Room::Account("models"))
        );
        for rest in [
            "",
            "/",
            "/login/",
            "/login/a/b",
            "/accounts/",
            "/accounts//models",
            "/api-call",
        ] {
            assert_eq!(Room::of(&path(rest)), None, "{rest}");
        }
        assert_eq!(Room::of("/api/auth/"), None);
    }
}
