//! Logging in to an account from anywhere, without a second process and without an open port: the sidecar makes the
//! address, the user signs in and pastes the address of the page that did not load, the sidecar exchanges its code, and
//! the account list proves it. Each login is known by its state; it ends in success, failure, cancellation or after five
//! minutes, and whoever watches is told in words to act on.

use super::accounts::{self, Account, Provider};
use super::api::{ANSWER_LIMIT, Members, encoded};
use super::pasted::{self, Outcome};
use super::progress::{Progress, Started};
use super::{Link, READY_WAIT, Sidecar};
use crate::error::{Error, Kind};
use crate::log;
use crate::net::{First, race};
use crate::wire::head::Method;
use crate::wire::json::Raw;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a login waits for what is pasted: the sidecar itself waits no longer.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(300);
/// For the exchange that follows what was pasted in the last moment.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a login.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a login that is said to be over may lack its account.
const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// Looks that may fail in a row before the login counts as lost.
const FAILED_LOOKS_MAX: u32 = 6;
/// Logins that wait at once.
pub const PENDING_MAX: usize = 16;
/// Logins that are remembered, so that a late watcher and a second paste get the right answer.
const REMEMBERED_MAX: usize = 64;

const RESTARTED: &str =
    "the sidecar was restarted while the login was waiting, which ends it: start the login again";

struct Login {
    state: String,
    upstream: String,
    provider: Provider,
    started: Instant,
    submitted: AtomicBool,
    progress: watch::Sender<Progress>,
    /// The accounts before it, with what changes when they do.
    before: Vec<(String, String)>,
    link: Arc<Link>,
}

impl Login {
    /// What has ended stays as it ended.
    fn set(&self, to: Progress) -> bool {
        self.progress.send_if_modified(|now| {
            let changes = !now.is_final() && *now != to;
            if changes {
                *now = to;
            }
            changes
        })
    }

    fn is_pending(&self) -> bool {
        !self.progress.borrow().is_final()
    }
}

/// The logins of this process.
#[derive(Default)]
pub(super) struct Logins(Mutex<Book>);

#[derive(Default)]
struct Book {
    /// The oldest first.
    logins: Vec<Arc<Login>>,
    /// Accounts, with their stamps, that a login has proven itself by: no other may.
    claimed: Vec<(String, String)>,
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, upstream: &str, state: Option<&str>) -> Option<Arc<Login>> {
        let book = self.lock();
        let mut newest_first = book.logins.iter().rev();
        newest_first
            .find(|login| {
                login.upstream == upstream && state.is_none_or(|state| login.state == state)
            })
            .cloned()
    }

    fn add(&self, login: Arc<Login>) {
        let mut book = self.lock();
        if book.logins.len() >= REMEMBERED_MAX
            && let Some(over) = book.logins.iter().position(|login| !login.is_pending())
        {
            book.logins.remove(over);
        }
        book.logins.push(login);
    }

    /// The account that login brought, if the list shows one: new, or changed since, and no other login's.
    fn claim(&self, login: &Login, accounts: Vec<Account>) -> Option<Account> {
        let mut book = self.lock();
        let mut candidates: Vec<Account> = accounts
            .into_iter()
            .filter(|account| {
                let stamped = |(name, stamp): &(String, String)| {
                    *name == account.name && *stamp == account.stamp
                };
                account.provider == login.provider.name()
                    && !login.before.iter().any(stamped)
                    && !book.claimed.iter().any(stamped)
            })
            .collect();
        // A known account may have changed because its token was renewed meanwhile; a new one is this login's.
        let is_new =
            |account: &Account| !login.before.iter().any(|(name, _)| *name == account.name);
        let found = candidates.iter().position(is_new).unwrap_or(0);
        let found = (!candidates.is_empty()).then(|| candidates.swap_remove(found))?;
        if book.claimed.len() >= REMEMBERED_MAX {
            book.claimed.remove(0);
        }
        book.claimed.push((found.name.clone(), found.stamp.clone()));
        Some(found)
    }
}

impl Sidecar {
    /// Starts a login for that upstream, and the sidecar if it does not run, also one that was given up. `same_machine`: the
    /// user's browser runs on this machine, so the page it ends on may be ours if its port is free.
    pub async fn login(
        &self,
        upstream: &str,
        provider: Provider,
        same_machine: bool,
    ) -> Result<Started, Error> {
        let pending = self
            .logins
            .lock()
            .logins
            .iter()
            .filter(|login| login.is_pending())
            .count();
        if pending >= PENDING_MAX {
            return Err(Error::client(
                Kind::TooManyRequests,
                format!("{pending} logins are waiting already: finish or cancel one"),
            ));
        }
        self.retry().await;
        let link = self.link(Instant::now() + READY_WAIT).await?;
        let before = accounts::list(&link.management).await;
        let before = self.told(&link, before).await?;
        let asked = ask_for_address(&link, provider, same_machine).await;
        let (auth_url, state, manual) = self.told(&link, asked).await?;
        let login = Arc::new(Login {
            state: state.clone(),
            upstream: upstream.to_owned(),
            provider,
            started: Instant::now(),
            submitted: AtomicBool::new(false),
            progress: watch::Sender::new(Progress::Waiting),
            before: before
                .into_iter()
                .map(|account| (account.name, account.stamp))
                .collect(),
            link,
        });
        self.logins.add(login.clone());
        log::info!(
            "login started",
            upstream = upstream,
            provider = provider.name()
        );
        // On the sidecar's own runtime, because this caller's may have other things to do. It ends with the login.
        self.runtime.spawn(follow(self.clone(), login));
        Ok(Started {
            auth_url,
            provider,
            state,
            manual,
            limit: self.login_limit,
        })
    }

    /// Takes what the user pasted and hands it in. What comes of it is told by [`Sidecar::progress`].
    ///
    /// # Errors
    /// It is not the address, no login that waits has its state, or it was handed in before; the message is for the user.
    pub async fn complete(&self, provider: Provider, text: &str) -> Result<(), Error> {
        let bad = |message: String| Error::client(Kind::BadRequest, message).param("callback_url");
        let pasted = pasted::read(text, provider).map_err(bad)?;
        let known = {
            let book = self.logins.lock();
            book.logins
                .iter()
                .find(|login| login.state == pasted.state)
                .cloned()
        };
        let Some(login) = known.filter(|login| login.provider == provider) else {
            return Err(bad(
                "no login that is waiting has this state: the address is from another login, or from before a restart; \
                 start the login again and paste the address it ends on"
                    .to_owned(),
            ));
        };
        let now = login.progress.borrow().clone();
        match now {
            Progress::Waiting | Progress::Exchanging => {}
            Progress::Done(_) => {
                return Err(Error::client(
                    Kind::Conflict,
                    "this login is complete already",
                ));
            }
            over => return Err(bad(format!("this login is over: {}", over.message()))),
        }
        if !self.is_current(&login) {
            login.set(Progress::Failed(RESTARTED.to_owned()));
            return Err(bad(RESTARTED.to_owned()));
        }
        if login.submitted.swap(true, Ordering::SeqCst) {
            return Err(Error::client(
                Kind::Conflict,
                "the address was handed in already; wait for what comes of it",
            ));
        }
        let handed_in = hand_in(&login, pasted.outcome).await;
        let handed_in = self.told(&login.link, handed_in).await;
        if handed_in.is_err() && login.is_pending() {
            login.submitted.store(false, Ordering::SeqCst); // to be pasted again
        }
        handed_in
    }

    /// How that upstream's login is going: the one of that state, else its newest. None: there was none.
    pub fn progress(
        &self,
        upstream: &str,
        state: Option<&str>,
    ) -> Option<watch::Receiver<Progress>> {
        Some(self.logins.find(upstream, state)?.progress.subscribe())
    }

    /// Leaves that upstream's login: the one of that state, else its newest. Whether there was one that waited. What is
    /// pasted afterwards is refused.
    pub async fn cancel(&self, upstream: &str, state: Option<&str>) -> bool {
        let Some(login) = self.logins.find(upstream, state) else {
            return false;
        };
        let was_pending = login.set(Progress::Cancelled);
        if was_pending {
            forget(&login).await;
        }
        was_pending
    }

    /// Whether the sidecar that knows this login still runs.
    fn is_current(&self, login: &Login) -> bool {
        let view = self.view.borrow();
        view.link
            .as_ref()
            .is_some_and(|link| Arc::ptr_eq(link, &login.link))
    }
}

async fn ask_for_address(
    link: &Link,
    provider: Provider,
    same_machine: bool,
) -> Result<(String, String, bool), Error> {
    let path = format!("/{}-auth-url", provider.login_name());
    if same_machine {
        let query = format!("{path}?is_webui=true");
        let reply = link
            .management
            .call(Method::Get, &query, None, ANSWER_LIMIT)
            .await?;
        // Another program has the port the login ends on: then the user pastes.
        if reply.status == 200 {
            let (url, state) = read_address(&reply)?;
            return Ok((url, state, false));
        }
    }
    let reply = link
        .management
        .call(Method::Get, &path, None, ANSWER_LIMIT)
        .await?
        .expect_ok("start the login")?;
    let (url, state) = read_address(&reply)?;
    Ok((url, state, true))
}

fn read_address(reply: &super::api::Reply) -> Result<(String, String), Error> {
    let object = reply.object()?;
    let text = |key: &str| {
        object
            .get(key)
            .and_then(Raw::as_str)
            .unwrap_or_default()
            .into_owned()
    };
    let (url, state) = (text("url"), text("state"));
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    if !is_page || !pasted::is_state(&state) {
        return Err(Error::upstream(
            Kind::BadReply,
            "the sidecar started a login and gave no address for it",
        ));
    }
    Ok((url, state))
}

async fn hand_in(login: &Login, outcome: Outcome) -> Result<(), Error> {
    let mut body = Vec::new();
    let mut members = Members::open(&mut body);
    members.text("provider", login.provider.login_name()); // 7.0 and 7.1 insist on it
    members.text("state", &login.state);
    match &outcome {
        Outcome::Code(code) => members.text("code", code),
        Outcome::Refused(error) => members.text("error", error),
    }
    members.close();
    let reply = login
        .link
        .management
        .call(Method::Post, "/oauth-callback", Some(&body), ANSWER_LIMIT)
        .await?;
    let text = reply.error_text();
    match reply.status {
        200 => {
            if let Outcome::Refused(error) = outcome {
                let why = refusal(login.provider, &error);
                login.set(Progress::Failed(why.clone()));
                return Err(Error::client(Kind::BadRequest, why).param("callback_url"));
            }
            login.set(Progress::Exchanging);
            Ok(())
        }
        404 => {
            let why = "the sidecar no longer knows this login: start it again".to_owned();
            login.set(Progress::Failed(why.clone()));
            Err(Error::client(Kind::BadRequest, why).param("callback_url"))
        }
        409 => {
            let end = explain(login.provider, &text);
            let why = end.message();
            login.set(end);
            Err(Error::client(Kind::Conflict, why))
        }
        400 => Err(Error::client(
            Kind::BadRequest,
            format!("the sidecar refused the address: {text}"),
        )
        .param("callback_url")),
        _ => Err(Error::upstream(
            Kind::BadReply,
            format!("the sidecar could not take the address: {text}"),
        )),
    }
}

fn refusal(provider: Provider, error: &str) -> String {
    format!(
        "{} did not allow the login ({error}): start it again and agree on its page",
        provider.title()
    )
}

/// What a login that the sidecar gave up came to, in words to act on. The original text stays in them.
fn explain(provider: Provider, text: &str) -> Progress {
    let lower = text.to_ascii_lowercase();
    let title = provider.title();
    if lower.starts_with("timeout waiting") || lower.contains("flow timed out") {
        return Progress::Expired;
    }
    Progress::Failed(
        if lower == "bad request" || lower.starts_with("authentication failed") {
            format!(
                "{title} did not allow the login: start it again and agree on its page ({text})"
            )
        } else if lower.contains("exchange") {
            format!(
                "{title} did not give tokens for the code ({text}): a code works once and for a few minutes, so start the login \
             again; if it fails again, check that this host reaches {title} (cli_proxy_api.proxy_url)"
            )
        } else if lower.contains("save authentication") {
            format!(
                "the account could not be saved ({text}): check that the data folder can be written"
            )
        } else if lower.contains("unknown or expired state") {
            "the sidecar no longer knows this login: start it again".to_owned()
        } else {
            format!("the login failed: {text}")
        },
    )
}

/// Tells the sidecar that a login is over, so that it saves nothing. Versions before 7.2.64 cannot be told.
async fn forget(login: &Login) {
    let path = format!("/oauth-session?state={}", encoded(&login.state));
    let call = login
        .link
        .management
        .call(Method::Delete, &path, None, ANSWER_LIMIT);
    let _ = call.await; // if it cannot be told, it forgets by itself
}

/// Watches one login to its end.
async fn follow(sidecar: Sidecar, login: Arc<Login>) {
    let mut progress = login.progress.subscribe();
    let mut failed_looks = 0;
    let mut over_since = None;
    loop {
        let over = progress.wait_for(Progress::is_final);
        if let First::A(_) = race(over, sleep(LOOK_EVERY)).await {
            break;
        }
        let limit = match login.submitted.load(Ordering::SeqCst) {
            true => sidecar.login_limit + EXCHANGE_LIMIT,
            false => sidecar.login_limit,
        };
        if login.started.elapsed() >= limit {
            login.set(Progress::Expired);
            forget(&login).await;
            break;
        }
        if !sidecar.is_current(&login) {
            login.set(Progress::Failed(RESTARTED.to_owned()));
            break;
        }
        match look(&login).await {
            Ok(Look::Wait) => failed_looks = 0,
            Ok(Look::Failed(text)) => {
                login.set(explain(login.provider, &text));
            }
            // "ok" alone proves nothing: old versions say it of any state they do not know.
            Ok(Look::Over) => match accounts::list(&login.link.management).await {
                Ok(accounts) => {
                    let since = *over_since.get_or_insert_with(Instant::now);
                    if let Some(mut account) = sidecar.logins.claim(&login, accounts) {
                        sidecar.complete_account(&mut account);
                        login.set(Progress::Done(Box::new(account)));
                    } else if since.elapsed() >= PROOF_LIMIT {
                        login.set(Progress::Failed(
                            "the sidecar says the login is over, but no account appeared: start it again".to_owned(),
                        ));
                    }
                }
                Err(_) => failed_looks += 1,
            },
            Err(error) => {
                failed_looks += 1;
                if failed_looks >= FAILED_LOOKS_MAX {
                    login.set(Progress::Failed(error.message));
                }
            }
        }
    }
    let end = progress.borrow().message();
    log::info!("login over", upstream = login.upstream, result = end);
}

enum Look {
    Wait,
    Over,
    Failed(String),
}

async fn look(login: &Login) -> Result<Look, Error> {
    let path = format!("/get-auth-status?state={}", encoded(&login.state));
    let reply = login
        .link
        .management
        .call(Method::Get, &path, None, ANSWER_LIMIT)
        .await?;
    let object = reply.object()?;
    let status = object
        .get("status")
        .and_then(Raw::as_str)
        .unwrap_or_default();
    match &*status {
        "wait" => Ok(Look::Wait),
        "ok" => Ok(Look::Over),
        "error" => Ok(Look::Failed(reply.error_text())),
        _ => Err(Error::upstream(
            Kind::BadReply,
            format!(
                "the sidecar answered a question about the login with {}",
                reply.error_text()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecars_texts_become_words_to_act_on() {
        for (text, words) in [
            (
                "Timeout waiting for OAuth callback",
                "start the login again",
            ),
            ("Bad request", "agree on its page"),
            ("Bad Request", "agree on its page"),
            (
                "Failed to exchange authorization code for tokens",
                "a code works once",
            ),
            ("Failed to save authentication tokens", "data folder"),
            ("unknown or expired state", "start it again"),
            ("something new", "the login failed: something new"),
        ] {
            let said = explain(Provider::Claude, text).message();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
