//! How much of each account's allowance is used, asked of its provider through the sidecar, which holds the token. Only
//! the two addresses below are ever asked: the sidecar's caller would fetch anything, loopback included.

use super::accounts::{self, Account, Provider, write_by_provider};
use super::api::{Management, Members, PROVIDER_LIMIT, write_array};
use crate::error::Error;
use crate::net::{Running, together};
use crate::wire::head::Method;
use crate::wire::json::{Object, Raw};

const CLAUDE_URL: &str = "https://api.anthropic.com/api/oauth/usage";
const CODEX_URL: &str = "https://chatgpt.com/backend-api/wham/usage";
/// The provider answers nobody else.
const CODEX_AGENT: &str = "codex_cli_rs/0.76.0 (Debian 13.0.0; x86_64) WindowsTerminal";
/// Accounts asked for at the same time: each holds a connection, and a provider that hangs costs twenty seconds.
const ASKED_AT_ONCE_MAX: usize = 8;
/// At most this much left, in percent, is low.
const LOW_PERCENT: f64 = 30.0;
const FIVE_HOURS_S: u64 = 18_000;
const WEEK_S: u64 = 604_800;

/// One allowance and its use.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// `five_hour`, `weekly`, `weekly_sonnet`, `weekly_opus`.
    pub id: &'static str,
    /// To show.
    pub label: &'static str,
    /// 0 to 100 and beyond; None: not told.
    pub used_percent: Option<f64>,
    /// An RFC 3339 time, seconds since 1970, or `+<seconds>s`; empty: not told.
    pub reset_at: String,
}

impl Window {
    /// What is left, 0 to 100.
    pub fn remaining_percent(&self) -> Option<f64> {
        self.used_percent
            .map(|used| (100.0 - used).clamp(0.0, 100.0))
    }

    fn is_exhausted(&self) -> bool {
        self.remaining_percent().is_some_and(|left| left <= 0.0)
    }
}

/// One account's allowances.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Whose.
    pub provider: Provider,
    /// The account's file name.
    pub name: String,
    /// The account's owner.
    pub email: String,
    /// `ok`, `low`, `exhausted`, `unknown`, `missing` or `error`.
    pub status: &'static str,
    /// What was told.
    pub windows: Vec<Window>,
    /// A Codex account's plan.
    pub plan_type: Option<String>,
    /// Why nothing was told.
    pub error: Option<String>,
}

/// Asks for every Claude and Codex account, a few at a time. An account that cannot be asked says so in its own entry.
pub async fn of_all(management: &Management) -> Result<Vec<Quota>, Error> {
    let accounts = accounts::list(management).await?;
    let known: Vec<(&Account, Provider)> = accounts
        .iter()
        .filter_map(|account| match account.provider.as_str() {
            "claude" => Some((account, Provider::Claude)),
            "codex" => Some((account, Provider::Codex)),
            _ => None,
        })
        .collect();
    let mut quotas = Vec::with_capacity(known.len());
    for some in known.chunks(ASKED_AT_ONCE_MAX) {
        let asked = some.iter().map(|(account, provider)| {
            Box::pin(of_one(management, account, *provider)) as Running<'_, Quota>
        });
        quotas.extend(together(asked.collect()).await);
    }
    Ok(quotas)
}

async fn of_one(management: &Management, account: &Account, provider: Provider) -> Quota {
    let mut quota = Quota {
        provider,
        name: account.name.clone(),
        email: account.email.clone(),
        status: "unknown",
        windows: Vec::new(),
        plan_type: account.plan_type.clone(),
        error: None,
    };
    match ask(management, account, provider, &mut quota).await {
        Ok(()) => {}
        Err(Trouble::Missing(why)) => (quota.status, quota.error) = ("missing", Some(why)),
        Err(Trouble::Failed(why)) => (quota.status, quota.error) = ("error", Some(why)),
    }
    quota
}

enum Trouble {
    /// The account lacks what the question needs.
    Missing(String),
    /// The question failed.
    Failed(String),
}

async fn ask(
    management: &Management,
    account: &Account,
    provider: Provider,
    quota: &mut Quota,
) -> Result<(), Trouble> {
    let failed = |error: Error| Trouble::Failed(error.message);
    // Without it the sidecar would send the literal text `$TOKEN$` to the provider.
    if account.auth_index.is_empty() {
        return Err(Trouble::Missing(
            "the sidecar gave the account no index".to_owned(),
        ));
    }
    let mut body = Vec::new();
    let mut call = Members::open(&mut body);
    call.text("auth_index", &account.auth_index);
    call.text("method", "GET");
    let url = match provider {
        Provider::Claude => CLAUDE_URL,
        Provider::Codex => CODEX_URL,
    };
    call.text("url", url);
    let mut header = Members::open(call.key("header"));
    header.text("Authorization", "Bearer $TOKEN$");
    match provider {
        Provider::Claude => header.text("anthropic-beta", "oauth-2025-04-20"),
        Provider::Codex => {
            let id = match &account.account_id {
                Some(id) => Some(id.clone()),
                None => accounts::account_id(management, &account.name)
                    .await
                    .map_err(failed)?,
            };
            let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
                Trouble::Missing("the account's id is not known: log in again".to_owned())
            })?;
            header.text("Chatgpt-Account-Id", &id);
            header.text("User-Agent", CODEX_AGENT);
        }
    }
    header.close();
    call.close();
    let reply = management
        .call(Method::Post, "/api-call", Some(&body), PROVIDER_LIMIT)
        .await
        .map_err(failed)?;
    if reply.status != 200 {
        return Err(Trouble::Failed(format!(
            "the sidecar could not reach {}: {}",
            provider.title(),
            reply.error_text()
        )));
    }
    let answer = reply.object().map_err(failed)?;
    let status = answer.get("status_code").and_then(Raw::as_u64).unwrap_or(0);
    match status {
        200 => {}
        401 | 403 => {
            return Err(Trouble::Failed(format!(
                "{} refused the account's token (status {status}): log in again",
                provider.title()
            )));
        }
        429 => {
            return Err(Trouble::Failed(format!(
                "{} was asked too often; try again later",
                provider.title()
            )));
        }
        _ => {
            return Err(Trouble::Failed(format!(
                "{} answered with status {status}",
                provider.title()
            )));
        }
    }
    let text = answer.get("body").and_then(Raw::as_str).unwrap_or_default();
    let usage = Object::parse(text.as_bytes()).map_err(|_| {
        Trouble::Failed(format!(
            "{} answered with something that is not JSON",
            provider.title()
        ))
    })?;
    let limited = match provider {
        Provider::Claude => {
            quota.windows = claude_windows(&usage);
            false
        }
        Provider::Codex => {
            if let Some(plan) = usage.get("plan_type").and_then(Raw::as_str) {
                quota.plan_type = Some(plan.into_owned());
            }
            quota.windows = codex_windows(&usage);
            codex_is_limited(&usage)
        }
    };
    quota.status = if limited {
        "exhausted"
    } else {
        status_of(&quota.windows)
    };
    Ok(())
}

fn status_of(windows: &[Window]) -> &'static str {
    let lowest = windows
        .iter()
        .filter_map(Window::remaining_percent)
        .min_by(f64::total_cmp);
    match lowest {
        None => "unknown",
        Some(left) if left <= 0.0 => "exhausted",
        Some(left) if left <= LOW_PERCENT => "low",
        Some(_) => "ok",
    }
}

fn claude_windows(usage: &Object<'_>) -> Vec<Window> {
    [
        ("five_hour", "five_hour", "5h"),
        ("seven_day", "weekly", "7d"),
        ("seven_day_sonnet", "weekly_sonnet", "Sonnet 7d"),
        ("seven_day_opus", "weekly_opus", "Opus 7d"),
    ]
    .into_iter()
    .filter_map(|(key, id, label)| {
        let window = usage.get(key)?.as_object().ok()?; // null: the plan has no such allowance
        let reset_at = window.get("resets_at").and_then(Raw::as_str);
        Some(Window {
            id,
            label,
            used_percent: window.get("utilization").and_then(Raw::as_f64),
            reset_at: reset_at.unwrap_or_default().into_owned(),
        })
    })
    .collect()
}

fn codex_windows(usage: &Object<'_>) -> Vec<Window> {
    let Some(Ok(limits)) = usage.get("rate_limit").map(Raw::as_object) else {
        return Vec::new();
    };
    [
        ("primary_window", FIVE_HOURS_S),
        ("secondary_window", WEEK_S),
    ]
    .into_iter()
    .filter_map(|(key, usual_s)| {
        let window = limits.get(key)?.as_object().ok()?;
        let number = |key: &str| window.get(key).and_then(Raw::as_u64);
        let length_s = number("limit_window_seconds")
            .filter(|length| [FIVE_HOURS_S, WEEK_S].contains(length))
            .unwrap_or(usual_s);
        let (id, label) = match length_s {
            FIVE_HOURS_S => ("five_hour", "5h"),
            _ => ("weekly", "7d"),
        };
        let reset_at = match (number("reset_at"), number("reset_after_seconds")) {
            (Some(at), _) => at.to_string(),
            (None, Some(after)) => format!("+{after}s"),
            (None, None) => String::new(),
        };
        Some(Window {
            id,
            label,
            used_percent: window.get("used_percent").and_then(Raw::as_f64),
            reset_at,
        })
    })
    .collect()
}

fn codex_is_limited(usage: &Object<'_>) -> bool {
    let Some(Ok(limits)) = usage.get("rate_limit").map(Raw::as_object) else {
        return false;
    };
    let flag = |key: &str| limits.get(key).and_then(Raw::as_bool);
    flag("limit_reached") == Some(true) || flag("allowed") == Some(false)
}

/// Writes the body of `GET /api/cli-proxy-api/quota`.
pub fn write_json(quotas: &[Quota], out: &mut Vec<u8>) {
    write_by_provider(out, quotas, |quota| quota.provider.name(), write_one);
}

fn write_one(out: &mut Vec<u8>, quota: &Quota) {
    let mut members = Members::open(out);
    members.text("provider", quota.provider.name());
    members.text("name", &quota.name);
    members.text("email", &quota.email);
    members.text("status", quota.status);
    write_array(members.key("windows"), &quota.windows, |out, window| {
        let mut members = Members::open(out);
        let number = |value: Option<f64>| value.map_or("null".to_owned(), |n| n.to_string());
        members.text("id", window.id);
        members.text("label", window.label);
        members.raw("used_percent", number(window.used_percent));
        members.raw("remaining_percent", number(window.remaining_percent()));
        members.text("reset_at", &window.reset_at);
        members.raw("exhausted", window.is_exhausted());
        members.close();
    });
    if quota.provider == Provider::Codex {
        members.maybe_text("plan_type", quota.plan_type.as_deref());
    }
    if let Some(error) = &quota.error {
        members.text("error", error);
    }
    members.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Object::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn claude_windows_are_named_and_what_is_null_is_left_out() {
        let usage = object(
            r#"{"five_hour":{"utilization":12.5,"resets_at":"2026-11-25T10:00:00Z"},"seven_day":{"utilization":71,"resets_at":null},"seven_day_sonnet":null,"seven_day_opus":{"utilization":null}}"#,
        );
        let windows = claude_windows(&usage);
        let ids: Vec<&str> = windows.iter().map(|window| window.id).collect();
        assert_eq!(ids, ["five_hour", "weekly", "weekly_opus"]);
        assert_eq!(windows[0].remaining_percent(), Some(87.5));
        assert_eq!(windows[0].reset_at, "2026-11-25T10:00:00Z");
        assert_eq!(windows[2].used_percent, None);
        assert_eq!(status_of(&windows), "low");
        assert_eq!(status_of(&windows[2..]), "unknown");
        assert_eq!(status_of(&windows[..1]), "ok");
    }

    #[test]
    fn codex_windows_are_named_by_their_length_or_their_place() {
        let usage = object(
            r#"{"plan_type":"plus","rate_limit":{"allowed":true,"limit_reached":false,"primary_window":{"used_percent":100,"limit_window_seconds":604800,"reset_at":1795600800},"secondary_window":{"used_percent":3,"limit_window_seconds":7,"reset_after_seconds":60}}}"#,
        );
        let windows = codex_windows(&usage);
        assert_eq!(
            (windows[0].id, windows[0].reset_at.as_str()),
            ("weekly", "1795600800")
        );
        assert_eq!(
            (windows[1].id, windows[1].reset_at.as_str()),
            ("weekly", "+60s")
        );
        assert!(windows[0].is_exhausted() && !codex_is_limited(&usage));
        assert_eq!(status_of(&windows), "exhausted");
        assert!(codex_is_limited(&object(
            r#"{"rate_limit":{"limit_reached":true}}"#
        )));
        assert_eq!(codex_windows(&object(r#"{"rate_limit":null}"#)), []);
    }

    #[test]
    fn the_shape_is_the_one_clients_of_the_original_read() {
        let quota = Quota {
            provider: Provider::Codex,
            name: "codex-1.json".into(),
            email: "a@b.c".into(),
            status: "ok",
            windows: vec![Window {
                id: "five_hour",
                label: "5h",
                used_percent: Some(40.0),
                reset_at: "+5s".into(),
            }],
            plan_type: None,
            error: None,
        };
        let mut out = Vec::new();
        write_json(&[quota], &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"providers":{"codex":{"account_count":1,"accounts":[{"provider":"codex","name":"codex-1.json","email":"a@b.c","status":"ok","windows":[{"id":"five_hour","label":"5h","used_percent":40,"remaining_percent":60,"reset_at":"+5s","exhausted":false}],"plan_type":null}]}}}"#
        );
    }
}
