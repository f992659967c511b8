//! The accounts the sidecar holds: listed, switched off, deleted, and which models each offers. No token passes here but
//! in one place: a Codex account's id is read from its file where the list lacks it, and the file's text is dropped there.

use super::Ready;
use super::api::{ANSWER_LIMIT, Management, Members, encoded, exchange, write_array};
use super::files::AccountFile;
use crate::error::{Error, Kind};
use crate::wire::head::Method;
use crate::wire::json::{Object, write_string};

/// Text that a provider wrote is cut to this.
const TEXT_CHARS_MAX: usize = 500;

/// A provider whose accounts the gateway offers to log in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Anthropic.
    Claude,
    /// OpenAI.
    Codex,
}

impl Provider {
    /// Its name in account lists and our own answers.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Claude => "claude",
            Provider::Codex => "codex",
        }
    }

    /// Its name in the sidecar's login routes.
    pub fn login_name(self) -> &'static str {
        match self {
            Provider::Claude => "anthropic",
            Provider::Codex => "codex",
        }
    }

    /// The name to show.
    pub fn title(self) -> &'static str {
        match self {
            Provider::Claude => "Claude",
            Provider::Codex => "Codex",
        }
    }

    /// The owner of its models in the sidecar's list. Others sell models of the same names: Antigravity's are not Anthropic's.
    fn owner(self) -> &'static str {
        match self {
            Provider::Claude => "anthropic",
            Provider::Codex => "openai",
        }
    }

    /// How the ids of its models begin, for a list without owners.
    fn beginnings(self) -> &'static [&'static str] {
        match self {
            Provider::Claude => &["claude-"],
            Provider::Codex => &["gpt-", "codex-", "o1", "o3", "o4"],
        }
    }

    /// Port and path of the address that its login ends on.
    pub fn callback(self) -> (u16, &'static str) {
        match self {
            Provider::Claude => (54545, "/callback"),
            Provider::Codex => (1455, "/auth/callback"),
        }
    }
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its file's name, which is its id.
    pub name: String,
    /// What the sidecar calls it in calls on its behalf.
    pub auth_index: String,
    /// `claude`, `codex`, `xai`, …
    pub provider: String,
    /// Whose it is.
    pub email: String,
    /// `active`, `error`, `disabled`, …
    pub status: String,
    /// What the provider last said, if it is in trouble.
    pub status_message: String,
    /// Switched off by the user.
    pub disabled: bool,
    /// Not used for the time being.
    pub unavailable: bool,
    /// When its access token ends, RFC 3339; empty: not known.
    pub expires_at: String,
    /// When it was last renewed, RFC 3339; empty: not since the sidecar started.
    pub last_refresh: String,
    /// When it will be tried again, RFC 3339; empty: now.
    pub next_retry_after: String,
    /// Its plan, where known.
    pub plan_type: Option<String>,
    /// A Codex account's id at the provider.
    pub account_id: Option<String>,
    /// Changes whenever its file does.
    pub stamp: String,
}

impl Account {
    fn of(object: &Object<'_>) -> Account {
        let text = |key: &str| member(object, key).unwrap_or_default();
        let flag = |key: &str| object.get(key).and_then(|raw| raw.as_bool()) == Some(true);
        let claims = object.get("id_token").and_then(|raw| raw.as_object().ok());
        let claim = |key: &str| claims.as_ref().and_then(|claims| member(claims, key));
        let disabled = flag("disabled");
        let mut status = text("status");
        if status.is_empty() {
            // 7.2.140 says nothing of an account that has just logged in.
            status = if disabled { "disabled" } else { "active" }.to_owned();
        }
        Account {
            name: text("name"),
            auth_index: text("auth_index"),
            provider: member(object, "provider").unwrap_or_else(|| text("type")),
            email: text("email"),
            status,
            status_message: text("status_message"),
            disabled,
            unavailable: flag("unavailable"),
            expires_at: String::new(),
            last_refresh: text("last_refresh"),
            next_retry_after: text("next_retry_after"),
            plan_type: claim("plan_type"),
            account_id: claim("chatgpt_account_id"),
            stamp: text("modtime") + " " + &text("updated_at"),
        }
    }

    /// As its file alone shows it.
    pub fn of_file(file: AccountFile) -> Account {
        Account {
            status: if file.disabled { "disabled" } else { "active" }.to_owned(),
            name: file.name,
            provider: file.provider,
            email: file.email,
            disabled: file.disabled,
            expires_at: file.expires_at,
            last_refresh: file.last_refresh,
            ..Account::default()
        }
    }

    /// Writes it as the WebUI's cards take it: without anything secret.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text("name", &self.name);
        members.text("provider", &self.provider);
        members.text("email", &self.email);
        members.text("status", &self.status);
        members.text("status_message", &self.status_message);
        members.raw("disabled", self.disabled);
        members.raw("unavailable", self.unavailable);
        members.text("expiresAt", &self.expires_at);
        members.text("lastRefresh", &self.last_refresh);
        members.text("nextRetryAfter", &self.next_retry_after);
        members.maybe_text("plan_type", self.plan_type.as_deref());
        members.close();
    }
}

fn member(object: &Object<'_>, key: &str) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    Some(text.chars().take(TEXT_CHARS_MAX).collect())
}

/// The accounts, as the sidecar lists them.
pub async fn list(management: &Management) -> Result<Vec<Account>, Error> {
    let reply = management
        .call(Method::Get, "/auth-files", None, ANSWER_LIMIT)
        .await?
        .expect_ok("list its accounts")?;
    let object = reply.object()?;
    let files = object.get("files").ok_or_else(|| {
        Error::upstream(
            Kind::BadReply,
            "the sidecar's list of accounts has no files",
        )
    })?;
    if files.is_null() {
        return Ok(Vec::new());
    }
    let nonsense = |fault: crate::error::Fault| {
        Error::upstream(
            Kind::BadReply,
            format!("the sidecar's list of accounts is wrong: {fault}"),
        )
    };
    let mut accounts = Vec::new();
    for file in files.elements().map_err(nonsense)? {
        accounts.push(Account::of(&file.as_object().map_err(nonsense)?));
    }
    Ok(accounts)
}

/// A model an account offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its id.
    pub id: String,
    /// The name to show, where there is one.
    pub display_name: Option<String>,
}

/// The models of one account; none for one that does not exist.
pub async fn models(management: &Management, name: &str) -> Result<Vec<Model>, Error> {
    let path = format!("/auth-files/models?name={}", encoded(name));
    let reply = management
        .call(Method::Get, &path, None, ANSWER_LIMIT)
        .await?
        .expect_ok("list the models of an account")?;
    let object = reply.object()?;
    let elements = object.get("models").and_then(|raw| raw.elements().ok());
    let mut found = Vec::new();
    for model in elements.into_iter().flatten() {
        let Ok(model) = model.as_object() else {
            continue;
        };
        if let Some(id) = member(&model, "id") {
            let display_name = member(&model, "display_name");
            found.push(Model { id, display_name });
        }
    }
    Ok(found)
}

/// The ids of that provider's models in the sidecar's list at `path`. Asked for under a neutral name: to a client that
/// looks like Claude's it shows other ids, and to one that looks like Codex a megabyte.
pub async fn offered(ready: &Ready, path: &str, provider: Provider) -> Result<Vec<String>, Error> {
    let key = ready.api_key.as_ref();
    let reply = exchange(&ready.origin, Method::Get, path, key, None, ANSWER_LIMIT)
        .await?
        .expect_ok("list its models")?;
    let object = reply.object()?;
    let data = object.get("data").and_then(|raw| raw.elements().ok());
    let data = data.ok_or_else(|| {
        Error::upstream(Kind::BadReply, "the sidecar's list of models has no data")
    })?;
    let mut ids: Vec<String> = data
        .filter_map(|model| {
            let model = model.as_object().ok()?;
            let id = member(&model, "id")?;
            let is_its = match member(&model, "owned_by").filter(|owner| !owner.is_empty()) {
                Some(owner) => owner == provider.owner(),
                None => provider
                    .beginnings()
                    .iter()
                    .any(|start| id.starts_with(start)),
            };
            is_its.then_some(id)
        })
        .collect();
    ids.sort_unstable(); // its own order changes with every start
    Ok(ids)
}

/// Switches an account off or on; the sidecar keeps it so.
pub async fn set_disabled(
    management: &Management,
    name: &str,
    disabled: bool,
) -> Result<(), Error> {
    let mut body = Vec::new();
    let mut members = Members::open(&mut body);
    members.text("name", name);
    members.raw("disabled", disabled);
    members.close();
    let reply = management
        .call(
            Method::Patch,
            "/auth-files/status",
            Some(&body),
            ANSWER_LIMIT,
        )
        .await?;
    match reply.status {
        404 => Err(unknown(name)),
        _ => reply.expect_ok("change the account").map(|_| ()),
    }
}

/// Deletes an account: logs it out.
pub async fn delete(management: &Management, name: &str) -> Result<(), Error> {
    let path = format!("/auth-files?name={}", encoded(name));
    let reply = management
        .call(Method::Delete, &path, None, ANSWER_LIMIT)
        .await?;
    match reply.status {
        404 => Err(unknown(name)),
        _ => reply.expect_ok("delete the account").map(|_| ()),
    }
}

fn unknown(name: &str) -> Error {
    Error::client(
        Kind::NotFound,
        format!("the sidecar has no account {name:?}"),
    )
}

/// Deletes every account of that provider and says how many there were.
pub async fn delete_all(management: &Management, provider: Provider) -> Result<usize, Error> {
    let mut deleted = 0;
    for account in list(management).await? {
        if account.provider != provider.name() {
            continue;
        }
        match delete(management, &account.name).await {
            Ok(()) => deleted += 1,
            Err(error) if error.kind == Kind::NotFound => {} // gone meanwhile
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

/// A Codex account's id at its provider, from its file; the file's text, tokens included, is dropped here.
pub async fn account_id(management: &Management, name: &str) -> Result<Option<String>, Error> {
    let path = format!("/auth-files/download?name={}", encoded(name));
    let reply = management
        .call(Method::Get, &path, None, ANSWER_LIMIT)
        .await?
        .expect_ok("read the account")?;
    Ok(member(&reply.object()?, "account_id"))
}

/// Writes `{"providers":{"claude":{"account_count":1,"accounts":[…]}}}`, in the order in which providers first appear;
/// each account by `write`.
pub fn write_by_provider<T>(
    out: &mut Vec<u8>,
    items: &[T],
    provider: impl Fn(&T) -> &str,
    write: impl Fn(&mut Vec<u8>, &T),
) {
    let mut names: Vec<&str> = Vec::new();
    for item in items {
        if !names.contains(&provider(item)) {
            names.push(provider(item));
        }
    }
    let mut outer = Members::open(out);
    let mut providers = Members::open(outer.key("providers"));
    for name in names {
        let of_it: Vec<&T> = items.iter().filter(|item| provider(item) == name).collect();
        let mut members = Members::open(providers.key(name));
        members.raw("account_count", of_it.len());
        write_array(members.key("accounts"), of_it, |out, item| write(out, item));
        members.close();
    }
    providers.close();
    outer.close();
}

/// Writes the body of `GET /api/cli-proxy-api/status`.
pub fn write_status(accounts: &[Account], out: &mut Vec<u8>) {
    write_by_provider(
        out,
        accounts,
        |account| &account.provider,
        |out, account| account.write_json(out),
    );
}

/// Writes the models of an account as a JSON array of `{"id","display_name"}`.
pub fn write_models(models: &[Model], out: &mut Vec<u8>) {
    write_array(out, models, |out, model| {
        let mut members = Members::open(out);
        members.text("id", &model.id);
        if let Some(name) = &model.display_name {
            write_string(members.key("display_name"), name);
        }
        members.close();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> Account {
        Account::of(&Object::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn an_account_is_read_whatever_is_missing() {
        let full = account(
            r#"{"id":"x","auth_index":"00ff","name":"codex-1.json","type":"codex","provider":"codex","email":"a@b.c","status":"error",
            "status_message":"{\"error\":1}","disabled":false,"unavailable":true,"modtime":"m","updated_at":"u",
            "id_token":{"chatgpt_account_id":"acc","plan_type":"plus"},"recent_requests":[{}]}"#,
        );
        assert_eq!(full.account_id.as_deref(), Some("acc"));
        assert_eq!(full.plan_type.as_deref(), Some("plus"));
        assert_eq!((full.stamp.as_str(), full.unavailable), ("m u", true));
        let fresh =
            account(r#"{"name":"codex-1.json","type":"codex","status":"","id_token":"eyJ"}"#);
        assert_eq!(
            (fresh.status.as_str(), fresh.provider.as_str()),
            ("active", "codex")
        );
        assert_eq!(fresh.account_id, None);
        assert_eq!(account(r#"{"disabled":true}"#).status, "disabled");
    }

    #[test]
    fn the_status_groups_accounts_by_provider() {
        let of = |provider: &str, email: &str| Account {
            provider: provider.into(),
            email: email.into(),
            status: "active".into(),
            ..Account::default()
        };
        let mut out = Vec::new();
        write_status(
            &[of("claude", "a"), of("xai", "b"), of("claude", "c")],
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"providers":{"claude":{"account_count":2,"accounts":[{"name":"","provider":"claude","email":"a","status":"active","#), "{text}");
        assert!(text.contains(r#""xai":{"account_count":1,"#));
        assert!(text.contains(r#""expiresAt":"","lastRefresh":"""#));
        crate::wire::json::validate(text.as_bytes()).unwrap();
        let mut none = Vec::new();
        write_status(&[], &mut none);
        assert_eq!(none, br#"{"providers":{}}"#);
    }
}
