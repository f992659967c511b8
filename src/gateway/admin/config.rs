//! `GET` and `PUT /api/config`: the configuration as it may be shown, and changes of it. What is checked, restored and saved
//! is `gateway::config`'s and `gateway::live`'s; here it becomes HTTP: entity tags, statuses, problems with their paths.

use super::{Answer, Request};
use crate::error::{Error, Kind};
use crate::gateway::config::{Node, Problem, shown};
use crate::gateway::live::{Changed, Refused};
use crate::gateway::snapshot::Snapshot;
use crate::net::exchange::RequestBody;
use crate::net::tls;
use crate::wire::head::list_items;
use crate::wire::text::{hex, sha256};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Bytes of the digest that an entity tag shows.
const TAG_BYTES: usize = 12;

/// Identifies one state of the configuration. Keyed with a random value of this process, since it covers the secrets.
pub(super) fn tag(snapshot: &Snapshot) -> String {
    static SALT: OnceLock<[u8; 16]> = OnceLock::new();
    let mut text = SALT.get_or_init(tls::random).to_vec();
    text.extend_from_slice(snapshot.tree.json().as_bytes());
    format!("\"{}\"", hex(&sha256(&text)[..TAG_BYTES]))
}

pub(super) fn problems(list: &[Problem]) -> Value {
    list.iter()
        .map(|problem| {
            let mut told = json!({"path": problem.path, "message": problem.sentence()});
            if let Some(line) = problem.line {
                told["line"] = line.into();
            }
            told
        })
        .collect()
}

impl Request<'_> {
    pub(super) fn config(&self) -> Answer {
        Answer {
            status: 200,
            content_type: "application/json",
            body: shown::show(&self.snapshot.tree).json().into_bytes(),
            fields: vec![("etag", tag(self.snapshot))],
        }
    }

    pub(super) async fn put_config(&self, body: &RequestBody) -> Result<Answer, Error> {
        let mut found = Vec::new();
        let change = Node::from_json(body.data(), &mut found);
        let Some(change) = change.filter(|_| found.is_empty()) else {
            return Ok(refused(Refused::Problems(found), self.snapshot));
        };
        let wanted: Vec<Vec<u8>> = {
            let fields = self.head.headers.all("if-match");
            fields.flat_map(list_items).map(<[u8]>::to_vec).collect()
        };
        let result = self
            .change(move |snapshot| {
                let tag = tag(snapshot);
                if !wanted.is_empty()
                    && !wanted
                        .iter()
                        .any(|one| one == b"*" || one == tag.as_bytes())
                {
                    return Err(Refused::Stale);
                }
                let mut found = Vec::new();
                let tree = shown::merge(&snapshot.tree, change, &mut found);
                match found.is_empty() {
                    true => Ok(tree),
                    // What else is wrong is said in the same answer.
                    false => Err(Refused::Masks(tree, found)),
                }
            })
            .await?;
        Ok(match result {
            Ok(changed) => Answer::ok(&json!({
                "success": true,
                "warnings": problems(&changed.warnings),
                "kept": changed.kept.map(|path| path.display().to_string()),
                "saved": changed.saved,
            }))
            .field("etag", tag(&changed.snapshot)),
            Err(reason) => refused(reason, &self.admin.live.snapshot()),
        })
    }

    /// Runs a change on a thread that may wait for the disk. It is finished even if the client leaves.
    pub(super) async fn change(
        &self,
        edit: impl FnOnce(&Snapshot) -> Result<Node, Refused> + Send + 'static,
    ) -> Result<Result<Changed, Refused>, Error> {
        let live = self.admin.live.clone();
        let result = tokio::task::spawn_blocking(move || live.change(edit)).await;
        let result =
            result.map_err(|_| Error::gateway(Kind::Internal, "the change was not made: a bug"))?;
        if let Ok(changed) = &result {
            self.app
                .budget
                .resize(changed.snapshot.limits.buffered_bytes_max);
        }
        Ok(result)
    }
}

/// Why a change was not made.
pub(super) fn refused(reason: Refused, current: &Snapshot) -> Answer {
    let no = |status: u16, sentence: &str| {
        Answer::new(status, &json!({"success": false, "error": sentence}))
    };
    match reason {
        Refused::Problems(list) | Refused::Masks(_, list) => {
            let mut sentence = list.first().map_or_else(String::new, Problem::to_string);
            if list.len() > 1 {
                sentence.push_str(&format!(" (and {} more)", list.len() - 1));
            }
            let body = json!({"success": false, "error": sentence, "problems": problems(&list)});
            Answer::new(400, &body)
        }
        Refused::Stale => no(
            412,
            "the configuration was changed by someone else meanwhile: load it again",
        )
        .field("etag", tag(current)),
        Refused::Conflict(sentence) | Refused::Unsaved(sentence) => no(409, &sentence),
    }
}
