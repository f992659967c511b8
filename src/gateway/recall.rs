//! State that Responses clients expect of their server, where the upstream has none of it: earlier responses and items are
//! put back before the conversion, finished ones are kept, and a conversation that has become too long is summarised
//! (protocols.md 6.4).

use super::convert::Conversion;
use super::forward::Forward;
use super::memory::{Finished, Memory, Owner, items_document};
use super::route::Route;
use super::trace::Trace;
use super::{App, Refusal};
use crate::error::{Error, Kind};
use crate::net::exchange::Exchange;
use crate::protocol::Protocol;
use crate::protocol::responses::{compact, state};
use crate::wire::head::Method;
use crate::wire::json::Object;
use std::sync::Arc;
use std::time::Instant;

/// What a request refers to, settled.
pub(super) struct Recall {
    /// The body with everything put back; None: the client's body is whole.
    pub body: Option<Vec<u8>>,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// What is to be kept once it is answered.
    pub keeping: Option<Keeping>,
}

/// A response that will be kept when it has finished.
pub(super) struct Keeping {
    owner: Owner,
    finished: Finished,
}

impl Forward<'_> {
    /// Puts back what the body refers to. An error is the one that clients answer by sending everything.
    pub(super) fn recall(&self, object: &Object<'_>, model: &str) -> Result<Recall, Error> {
        let asked = state::asked(object)?;
        let (memory, limits, now) = (
            &self.app.memory,
            self.snapshot.responses_store,
            Instant::now(),
        );
        let owner = Owner::of(self.client_key);
        let prior = match &asked.previous {
            None => Vec::new(),
            Some(id) => {
                let found = memory.conversation(owner, id, limits, now);
                found.ok_or_else(|| state::not_found("previous_response_id", id))?
            }
        };
        let look_up = |id: &str| {
            memory
                .item(owner, id, limits, now)
                .map(|item| item.to_string())
        };
        let body = if asked.is_whole() {
            None
        } else {
            let prior: Vec<&str> = prior.iter().map(|item| &**item).collect();
            Some(state::expand(object, &asked, &prior, &look_up)?)
        };
        let previous = asked.previous.as_deref().map(str::to_owned);
        let keeping = (asked.store && limits.bytes_max > 0).then(|| {
            let resolved = |item: &str| match state::reference(item) {
                Some(id) => memory
                    .item(owner, &id, limits, now)
                    .unwrap_or_else(|| item.into()),
                None => item.into(),
            };
            let finished = Finished {
                id: String::new(),
                parent: previous.clone(),
                input: asked.items.iter().map(|item| resolved(item)).collect(),
                output: Vec::new(),
                model: model.to_owned(),
                created_unix_s: crate::clock::unix_s(),
            };
            Keeping { owner, finished }
        });
        Ok(Recall {
            body,
            previous,
            keeping,
        })
    }

    /// A Codex account keeps no responses (it is used with `store: false`), so nothing can go on from one: the client is told
    /// to send everything, instead of getting an answer that has forgotten the conversation.
    pub(super) fn check_continuation(
        &self,
        route: &Route,
        object: &Object<'_>,
    ) -> Result<(), Error> {
        if route.upstream.provider().is_none() || self.protocol != Protocol::Responses {
            return Ok(());
        }
        match state::asked(object)?.previous {
            Some(id) => Err(state::not_found("previous_response_id", &id)),
            None => Ok(()),
        }
    }

    /// Keeps a response that has finished.
    pub(super) fn keep(&self, keeping: Option<Keeping>, answered: Option<state::Answered>) {
        if let (
            Some(Keeping {
                owner,
                mut finished,
            }),
            Some(answered),
        ) = (keeping, answered)
        {
            finished.id = answered.id;
            finished.output = answered.items.into_iter().map(Arc::from).collect();
            self.app.memory.keep(
                owner,
                finished,
                self.snapshot.responses_store,
                Instant::now(),
            );
        }
    }

    /// Whether a request wants its conversation summarised instead of gone on with.
    pub(super) fn wants_summary(&self, object: &Object<'_>) -> bool {
        self.protocol == Protocol::Responses
            && if self.companion {
                self.path == "/responses/compact"
            } else {
                compact::is_asked(object)
            }
    }

    /// Lets the model summarise a conversation, and answers with the item that stands for it.
    pub(super) async fn summarise(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        route: &Arc<Route>,
        to: Protocol,
        object: Object<'_>,
    ) -> Result<(), Refusal> {
        let request = compact::summary_request(&object)?;
        let streams = object.get("stream").and_then(|raw| raw.as_bool()) == Some(true);
        let request =
            Object::parse(&request).map_err(|fault| fault.blame(crate::error::Blame::Gateway))?;
        let conversion: Conversion = self.convert(trace, route, to, request)?;
        let Some(whole) = self.whole_answer(exchange, trace, conversion).await? else {
            return Ok(());
        };
        let Some(summary) = compact::summary(&whole.body) else {
            return Err(Error::upstream(
                Kind::BadReply,
                "the model wrote no summary of the conversation",
            )
            .into());
        };
        let mut out = Vec::new();
        if self.companion {
            compact::window(&object, &summary, whole.usage, &whole.made, &mut out);
        } else if streams {
            compact::stream(&summary, whole.usage, &whole.cx, &whole.made, &mut out);
            return self.answer_stream(exchange, trace, &out).await;
        } else {
            compact::answer(&summary, whole.usage, &whole.cx, &whole.made, &mut out);
        }
        self.answer_json(exchange, trace, &out).await
    }
}

impl App {
    /// `GET` and `DELETE /v1/responses/{id}`, `GET …/input_items`: from the memory only. `rest` is what follows `/responses/`.
    pub(super) fn stored_response(
        &self,
        owner: Owner,
        limits: super::config::ResponsesStore,
        method: Method,
        rest: &str,
    ) -> Result<Vec<u8>, Error> {
        let (id, part) = rest
            .split_once('/')
            .map_or((rest, None), |(id, part)| (id, Some(part)));
        let (memory, now): (&Memory, _) = (&self.memory, Instant::now());
        let missing = || {
            let message = "no response of that id is stored here: only what this gateway converted is kept, for responses_store.minutes and in its memory";
            Error::client(Kind::NotFound, message)
        };
        match (method, part) {
            (Method::Delete, None) if memory.forget(owner, id, limits, now) => {
                let mut out = b"{\"id\":".to_vec();
                crate::wire::json::write_string(&mut out, id);
                out.extend_from_slice(b",\"object\":\"response\",\"deleted\":true}");
                Ok(out)
            }
            (Method::Get | Method::Head, None) => memory
                .response(owner, id, limits, now)
                .map(|found| found.document())
                .ok_or_else(missing),
            (Method::Get | Method::Head, Some("input_items")) => {
                let response = memory
                    .response(owner, id, limits, now)
                    .ok_or_else(missing)?;
                let before = response
                    .parent
                    .as_deref()
                    .and_then(|parent| memory.conversation(owner, parent, limits, now));
                let items: Vec<Arc<str>> = before
                    .unwrap_or_default()
                    .into_iter()
                    .chain(response.input)
                    .collect();
                Ok(items_document(&items))
            }
            _ => Err(missing()),
        }
    }
}
