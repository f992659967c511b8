//! What models upstreams offer: `GET /api/upstream-models`, one upstream's, and an alias in one click. All upstreams are asked
//! at the same time under one deadline, and what one of them answers wrong is shown, not swallowed.

use super::probe::{self, Offer};
use super::{Answer, Request, config::refused, not_found, object};
use crate::error::{Error, Kind};
use crate::gateway::App;
use crate::gateway::config::Node;
use crate::gateway::live::Refused;
use crate::gateway::models::decode;
use crate::gateway::snapshot::Upstream;
use crate::net::exchange::RequestBody;
use crate::net::{Running, together};
use crate::protocol::Protocol;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// For all upstreams together.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The models of one upstream, within the deadline: of the accounts it uses, else of its own server.
async fn offered(upstream: &Upstream, app: &App) -> Result<Vec<Offer>, Error> {
    let late = || {
        let message = format!(
            "{:?} did not answer within {} s",
            upstream.name,
            DEADLINE.as_secs()
        );
        Err(Error::upstream(Kind::Timeout, message))
    };
    let asked = async {
        let Some(provider) = upstream.provider() else {
            return probe::models(upstream).await;
        };
        let path = upstream.path(Protocol::Chat, "/models");
        let ids = app.sidecar()?.models(provider, &path).await?;
        let offer = |id| Offer {
            id,
            max_model_len: None, // it does not say
        };
        Ok(ids.into_iter().map(offer).collect())
    };
    timeout(DEADLINE, asked).await.unwrap_or_else(|_| late())
}

fn ids(offers: &[Offer]) -> Vec<&str> {
    offers.iter().map(|offer| offer.id.as_str()).collect()
}

pub(super) fn detailed(offers: &[Offer]) -> Value {
    offers
        .iter()
        .map(|offer| json!({"id": offer.id, "max_model_len": offer.max_model_len}))
        .collect()
}

pub(super) fn list(offers: &[Offer]) -> Value {
    json!({"object": "list", "data": ids(offers), "models": detailed(offers)})
}

impl Request<'_> {
    pub(super) async fn all_models(&self) -> Answer {
        let enabled = || {
            self.snapshot
                .upstreams
                .iter()
                .filter(|upstream| upstream.enabled)
        };
        let asked = enabled().map(|upstream| {
            Box::pin(offered(upstream, self.app)) as Running<'_, Result<Vec<Offer>, Error>>
        });
        let answers = together(asked.collect()).await;
        let mut data: Vec<String> = Vec::new();
        let (mut upstreams, mut errors) = (Vec::new(), Vec::new());
        for (upstream, answer) in enabled().zip(answers) {
            let name = &upstream.name;
            match answer {
                Ok(offers) => {
                    data.extend(offers.iter().map(|offer| offer.id.clone()));
                    upstreams
                        .push(json!({"name": name, "models": detailed(&offers), "error": null}));
                }
                Err(error) => {
                    upstreams.push(json!({"name": name, "models": [], "error": error.message}));
                    errors.push(json!({"upstream": name, "error": error.message}));
                }
            }
        }
        Answer::ok(
            &json!({"object": "list", "data": data, "upstreams": upstreams, "errors": errors}),
        )
    }

    pub(super) async fn models_of(&self, name: &str) -> Result<Answer, Error> {
        let name = name.replace('+', "%2B"); // a plus in a path is a plus
        let name = decode(&name).map_err(|fault| fault.blame(crate::error::Blame::Client))?;
        let upstream = self.enabled(&name)?;
        let offers = offered(&upstream, self.app).await?;
        Ok(Answer::ok(&list(&offers)))
    }

    fn enabled(&self, name: &str) -> Result<Arc<Upstream>, Error> {
        let found = self
            .snapshot
            .upstreams
            .iter()
            .find(|upstream| upstream.name == *name);
        match found {
            Some(upstream) if upstream.enabled => Ok(upstream.clone()),
            Some(_) => Err(not_found(format!("the upstream {name:?} is disabled"))),
            None => Err(not_found(format!("there is no upstream named {name:?}"))),
        }
    }

    pub(super) async fn add_alias(&self, body: &RequestBody) -> Result<Answer, Error> {
        let body = object(body)?;
        let text = |key: &str| {
            let text = body
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let problem = || Error::client(Kind::BadRequest, format!("{key} must be a text"));
            if text.is_empty() {
                Err(problem())
            } else {
                Ok(text)
            }
        };
        let (upstream, model) = (text("upstream")?, text("model")?);
        let no = |status: u16, sentence: String| {
            let mut body = json!({"success": false, "error": sentence});
            if status == 409 {
                body["alias"] = json!(model);
            }
            Ok(Answer::new(status, &body))
        };
        if let Err(error) = self.enabled(&upstream) {
            return no(400, error.message);
        }
        let mut alias = Node::Map(vec![
            ("alias".into(), Node::from(model.as_str())),
            ("target_model".into(), Node::from(model.as_str())),
            ("upstream".into(), Node::from(upstream.as_str())),
            ("param_overrides".into(), Node::List(Vec::new())),
            ("source".into(), Node::from("auto")),
        ]);
        if let Some(length) = body.get("max_model_len").and_then(Value::as_u64) {
            alias.set("max_model_len", Node::Unsigned(length));
        }
        let name = model.clone();
        let result = self
            .change(move |snapshot| {
                if let Some(taken) = snapshot.aliases.iter().find(|alias| alias.name == name) {
                    let of = &taken.upstream.name;
                    return Err(Refused::Conflict(format!(
                        "{name:?} is an alias of the upstream {of:?} already"
                    )));
                }
                let mut tree = snapshot.tree.clone();
                let mut aliases = match tree.get("aliases") {
                    Some(Node::List(aliases)) => aliases.clone(),
                    _ => Vec::new(),
                };
                aliases.push(alias);
                tree.set("aliases", Node::List(aliases));
                Ok(tree)
            })
            .await?;
        match result {
            Ok(_) => Ok(Answer::ok(&json!({"success": true, "alias": model}))),
            Err(Refused::Conflict(sentence)) => no(409, sentence),
            Err(other) => Ok(refused(other, self.snapshot)),
        }
    }
}
