//! State that Responses clients expect of their server, where the upstream has none of it: earlier responses and items are
//! put back before the conversion, finished ones are kept, and a conversation that has become too long is summarised
//! (protocols.md 6.4).

use super::convert::Conversion;
use super::forward::Forward;
use super::memory::{Finished, Item, Joined, Memory, Owner, items_document};
use super::route::Route;
use super::trace::Trace;
use super::{App, Refusal};
use crate::clock;
use crate::error::{Error, Kind};
use crate::net::buffer::Buffer;
use crate::net::exchange::Exchange;
use crate::protocol::Protocol;
use crate::protocol::responses::state::{Answered, Asked, Says};
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
    parent: Option<String>,
    input: Joined,
    /// Under whose name the client asked.
    route: Arc<Route>,
    created_unix_s: u64,
}

impl Forward<'_> {
    /// Puts back what the body refers to. An error is the one that clients answer by sending everything.
    pub(super) fn recall(
        &self,
        object: &Object<'_>,
        asked: &Asked<'_>,
        route: &Arc<Route>,
    ) -> Result<Recall, Error> {
        let previous = asked.previous.as_deref().map(str::to_owned);
        if asked.is_whole() {
            let keeping = self.keeping(asked, None, &[], route);
            return Ok(Recall {
                body: None,
                previous,
                keeping,
            });
        }
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
        let look_up = |item: &state::Item<'_>| match &item.says {
            Says::Reference(id) => memory.item(owner, id, limits, now),
            _ => None,
        };
        let found: Vec<Option<Item>> = asked.items.iter().map(look_up).collect();
        let prior: Vec<&str> = prior.iter().map(|item| &**item).collect();
        let body = state::expand(object, asked, &prior, &|at| found[at].as_deref())?;
        let keeping = self.keeping(asked, previous.clone(), &found, route);
        Ok(Recall {
            body: Some(body),
            previous,
            keeping,
        })
    }

    /// What is kept of the request; None: nothing, or more than there is room for. `found` are the items that its references
    /// stand for, if it has any.
    fn keeping(
        &self,
        asked: &Asked<'_>,
        parent: Option<String>,
        found: &[Option<Item>],
        route: &Arc<Route>,
    ) -> Option<Keeping> {
        if !asked.store {
            return None;
        }
        let items = || {
            let items = asked.items.iter().enumerate();
            items.map(|(at, item)| match (found.get(at), &item.says) {
                (Some(Some(found)), Says::Reference(id)) => (&**found, Some(id)),
                _ => (&*item.text, item.id.as_ref()),
            })
        };
        let bytes = items().map(|(text, _)| text.len() + 1).sum::<usize>();
        if bytes as u64 > self.snapshot.responses_store.bytes_max {
            return None;
        }
        let mut input = Joined::written_into(Buffer::vector(bytes), asked.items.len());
        let owner = Owner::of(self.client_key);
        for (text, id) in items() {
            input.push(text, id.map(|id| self.app.memory.number(owner, id)));
        }
        Some(Keeping {
            owner,
            parent,
            input,
            route: route.clone(),
            created_unix_s: clock::unix_s(),
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
        match state::previous(object)? {
            Some(id) => Err(state::not_found("previous_response_id", &id)),
            None => Ok(()),
        }
    }

    /// Keeps a response that has finished.
    pub(super) fn keep(&self, keeping: Option<Keeping>, answered: Option<Answered<'_>>) {
        let Some(keeping) = keeping else {
            return;
        };
        if let Some(answered) = answered {
            let finished = Finished {
                id: answered.id,
                parent: keeping.parent.as_deref(),
                input: &keeping.input,
                output: &answered.items,
                model: &keeping.route.name,
                created_unix_s: keeping.created_unix_s,
            };
            let limits = self.snapshot.responses_store;
            let (memory, now) = (&self.app.memory, Instant::now());
            memory.keep(keeping.owner, &finished, limits, now);
        }
        drop(Buffer::of(keeping.input.into_bytes())); // back to where it came from
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
                "the model wrote no summary of the conversation, or not to its end",
            )
            .into());
        };
        let usage = whole.usage.or_else(|| compact::cost(&whole.body));
        let mut out = Vec::new();
        if self.companion {
            compact::window(&object, &summary, usage, &whole.made, &mut out);
        } else if streams {
            compact::stream(&summary, usage, &whole.cx, &whole.made, &mut out);
            return self.answer_stream(exchange, trace, &out).await;
        } else {
            compact::answer(&summary, usage, &whole.cx, &whole.made, &mut out);
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
                    .parent()
                    .and_then(|parent| memory.conversation(owner, parent, limits, now));
                let mut items = before.unwrap_or_default();
                items.extend(Item::inputs(&response));
                Ok(items_document(&items))
            }
            _ => Err(missing()),
        }
    }
}
