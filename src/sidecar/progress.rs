//! What a login tells whoever watches it: how it is going, as a value and in the shapes clients of the original read.

use super::accounts::{Account, Provider};
use super::api::Members;
use super::login::LOGIN_LIMIT;
use std::time::Duration;

/// How a login is going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// For the user to sign in and paste.
    Waiting,
    /// The code was handed in and is being exchanged.
    Exchanging,
    /// The account is there.
    Done(Box<Account>),
    /// It failed.
    Failed(String),
    /// The user left it.
    Cancelled,
    /// Nothing was pasted in time.
    Expired,
}

impl Progress {
    /// Whether nothing more will come.
    pub fn is_final(&self) -> bool {
        !matches!(self, Progress::Waiting | Progress::Exchanging)
    }

    /// What to show.
    pub fn message(&self) -> String {
        match self {
            Progress::Waiting => "waiting for the address of the page the login ends on".to_owned(),
            Progress::Exchanging => "the provider is asked for the tokens".to_owned(),
            Progress::Done(account) if account.email.is_empty() => "logged in".to_owned(),
            Progress::Done(account) => format!("logged in as {}", account.email),
            Progress::Failed(why) => why.clone(),
            Progress::Cancelled => "the login was cancelled".to_owned(),
            Progress::Expired => format!(
                "nothing was pasted within {} minutes: start the login again",
                LOGIN_LIMIT.as_secs() / 60
            ),
        }
    }

    /// Writes `{"upstream":…,"status":{"status":…,"message":…,…}}`: the data of one event of the login stream.
    pub fn write_json(&self, upstream: &str, out: &mut Vec<u8>) {
        let word = match self {
            Progress::Waiting => "waiting",
            Progress::Exchanging => "exchanging",
            Progress::Done(_) => "success",
            Progress::Failed(_) => "error",
            Progress::Cancelled => "cancelled",
            Progress::Expired => "timeout",
        };
        let mut outer = Members::open(out);
        outer.text("upstream", upstream);
        let mut status = Members::open(outer.key("status"));
        status.text("status", word);
        status.text("message", &self.message());
        if let Progress::Done(account) = self {
            status.text("email", &account.email);
            status.text("expires_at", &account.expires_at);
            status.text("lastRefresh", &account.last_refresh);
        }
        status.close();
        outer.close();
    }
}

/// A login that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The page to open.
    pub auth_url: String,
    /// Whose page it is.
    pub provider: Provider,
    /// What the login is known by.
    pub state: String,
    /// Whether the user must paste; else the browser finishes it on this machine.
    pub manual: bool,
    /// How long it waits.
    pub limit: Duration,
}

impl Started {
    /// Writes the body of `POST /api/cli-proxy-api/login/{name}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text("auth_url", &self.auth_url);
        members.text("provider", self.provider.name());
        members.raw("device_code", "null");
        members.raw("manual", self.manual);
        members.text("state", &self.state);
        let (port, path) = self.provider.callback();
        members.text("callback", &format!("http://localhost:{port}{path}"));
        members.raw("expires_in_s", self.limit.as_secs());
        members.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_login_has_the_shape_of_the_original() {
        let started = Started {
            auth_url: "https://claude.ai/oauth/authorize?a=b&state=0f".into(),
            provider: Provider::Claude,
            state: "0f".into(),
            manual: true,
            limit: LOGIN_LIMIT,
        };
        let mut out = Vec::new();
        started.write_json(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"auth_url":"https://claude.ai/oauth/authorize?a=b&state=0f","provider":"claude","device_code":null,"manual":true,"state":"0f","callback":"http://localhost:54545/callback","expires_in_s":300}"#
        );
    }

    #[test]
    fn progress_has_the_shape_of_the_original() {
        let json = |progress: Progress| {
            let mut out = Vec::new();
            progress.write_json("my \"claude\"", &mut out);
            String::from_utf8(out).unwrap()
        };
        let account = Account {
            email: "a@b.c".into(),
            expires_at: "2026-11-25T10:00:00Z".into(),
            ..Account::default()
        };
        assert_eq!(
            json(Progress::Done(Box::new(account))),
            r#"{"upstream":"my \"claude\"","status":{"status":"success","message":"logged in as a@b.c","email":"a@b.c","expires_at":"2026-11-25T10:00:00Z","lastRefresh":""}}"#
        );
        assert!(
            json(Progress::Expired)
                .contains(r#"{"status":"timeout","message":"nothing was pasted within 5 minutes"#)
        );
        assert!(
            json(Progress::Failed("no".into()))
                .ends_with(r#""status":{"status":"error","message":"no"}}"#)
        );
    }
}
