//! Logins without a browser on this machine, and one with.

use super::*;

#[test]
fn logins_succeed_with_every_version_and_a_second_one_of_the_same_account_too() {
    run(async {
        for version in ["7.0.4", "7.2.91", "7.2.140"] {
            let bed = Bed::fake(&[("FAKE_VERSION", version)]);
            let sidecar = bed.start(); // not wanted: a login starts it
            for provider in [Provider::Claude, Provider::Codex] {
                let first = log_in(&sidecar, provider, "alice").await;
                let Progress::Done(account) = &first else {
                    panic!("{version}: {}", first.message())
                };
                assert_eq!(account.email, "alice@example.com");
                assert_eq!(account.status, "active", "{version}");
                assert!(account.expires_at.starts_with("20") && !account.last_refresh.is_empty());
                let again = log_in(&sidecar, provider, "alice").await;
                assert_eq!(email_of(&again), "alice@example.com", "{version}");
            }
            let accounts = sidecar.accounts().await.expect("a list");
            assert_eq!(accounts.len(), 2, "no new file for a known account");
            let version_seen = sidecar.state().borrow().version().map(str::to_owned);
            assert_eq!(version_seen, Some(format!("{version}-fake")));
            sidecar.shutdown().await;
        }
    });
}

#[test]
fn what_is_pasted_is_checked_before_the_sidecar_hears_of_it() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        assert!(started.manual && started.auth_url.starts_with("https://"));
        assert!(started.auth_url.contains(&started.state));
        let bad = [
            ("hello".to_owned(), "not the address"),
            (started.auth_url.clone(), "sign in there first"),
            (
                landing(Provider::Codex, "x", &started.state),
                "belongs to a Codex login",
            ),
            (
                landing(Provider::Claude, "x", &"0".repeat(32)),
                "no login that is waiting has this state",
            ),
        ];
        for (pasted, why) in bad {
            let error = sidecar
                .complete(Provider::Claude, &pasted)
                .await
                .unwrap_err();
            assert_eq!(error.status(), 400, "{error}");
            assert!(error.message.contains(why), "{pasted}: {error}");
        }
        // The state of a Claude login in a Codex dialog.
        let crossed = format!("code=x&state={}", started.state);
        let error = sidecar
            .complete(Provider::Codex, &crossed)
            .await
            .unwrap_err();
        assert!(
            error
                .message
                .contains("no login that is waiting has this state"),
            "{error}"
        );
        let progress = sidecar.progress("up", None).expect("the login");
        assert_eq!(*progress.borrow(), Progress::Waiting, "it goes on waiting");
        assert!(sidecar.progress("another", None).is_none());
        assert!(sidecar.cancel("up", None).await);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_cancelled_login_takes_nothing_any_more_and_saves_nothing() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Codex, false)
            .await
            .expect("a login");
        assert!(sidecar.cancel("up", Some(&started.state)).await);
        assert!(!sidecar.cancel("up", Some(&started.state)).await, "once");
        assert_eq!(
            end_of(&sidecar, "up", &started.state).await,
            Progress::Cancelled
        );
        let address = landing(Provider::Codex, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Codex, &address)
            .await
            .unwrap_err();
        assert!(error.message.contains("cancelled"), "{error}");
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_login_cancelled_during_the_exchange_saves_nothing() {
    run(async {
        let bed = Bed::fake(&[("FAKE_OAUTH", "slow")]);
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let address = landing(Provider::Claude, "alice", &started.state);
        sidecar
            .complete(Provider::Claude, &address)
            .await
            .expect("taken");
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 409, "{error}");
        sleep(Duration::from_millis(800)).await; // the exchange is under way and takes two seconds
        assert!(sidecar.cancel("up", None).await);
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_refused_a_failed_and_an_expired_login_are_told_in_words_to_act_on() {
    run(async {
        for (mode, words) in [
            ("provider_error", "agree on its page"),
            ("exchange_fail", "a code works once"),
        ] {
            let bed = Bed::fake(&[("FAKE_OAUTH", mode)]);
            let sidecar = bed.start();
            for provider in [Provider::Claude, Provider::Codex] {
                let end = log_in(&sidecar, provider, "alice").await;
                let Progress::Failed(why) = &end else {
                    panic!("{end:?}")
                };
                assert!(why.contains(words), "{mode}: {why}");
            }
            sidecar.shutdown().await;
        }
        let bed = Bed::fake(&[("FAKE_OAUTH", "timeout")]);
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let end = end_of(&sidecar, "up", &started.state).await;
        assert_eq!(end, Progress::Expired, "the sidecar's own clock ran out");
        assert!(end.message().contains("start the login again"), "{end:?}");
        let address = landing(Provider::Claude, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 400);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_denial_that_is_pasted_ends_the_login_with_the_providers_words() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let (port, path) = Provider::Claude.callback();
        let denied = format!(
            "http://localhost:{port}{path}?error=access_denied&state={}",
            started.state
        );
        let error = sidecar
            .complete(Provider::Claude, &denied)
            .await
            .unwrap_err();
        assert!(error.message.contains("access_denied"), "{error}");
        let end = end_of(&sidecar, "up", &started.state).await;
        assert!(
            matches!(&end, Progress::Failed(why) if why.contains("access_denied")),
            "{end:?}"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn two_logins_at_once_end_with_their_own_accounts() {
    run(async {
        let bed = Bed::fake(&[]);
        let sidecar = bed.start();
        let one = sidecar
            .login("one", Provider::Claude, false)
            .await
            .expect("a login");
        let two = sidecar
            .login("two", Provider::Claude, false)
            .await
            .expect("a login");
        assert_ne!(one.state, two.state);
        // The second finishes first, and its account is listed first.
        sidecar
            .complete(
                Provider::Claude,
                &landing(Provider::Claude, "alice", &two.state),
            )
            .await
            .expect("taken");
        assert_eq!(
            email_of(&end_of(&sidecar, "two", &two.state).await),
            "alice@example.com"
        );
        assert_eq!(
            *sidecar.progress("one", None).expect("it").borrow(),
            Progress::Waiting
        );
        let shown = format!("bob#{}", one.state); // as Claude's own page shows it
        sidecar
            .complete(Provider::Claude, &shown)
            .await
            .expect("taken");
        assert_eq!(
            email_of(&end_of(&sidecar, "one", &one.state).await),
            "bob@example.com"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn a_restart_in_the_middle_of_a_login_ends_it_with_the_reason() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let process = pid(&sidecar);
        let killed = Command::new("kill")
            .arg("-9")
            .arg(process.to_string())
            .status();
        assert!(killed.expect("kill").success());
        let end = end_of(&sidecar, "up", &started.state).await;
        assert!(end.message().contains("restarted"), "{}", end.message());
        let mut view = sidecar.state();
        seen(&mut view, "another", |view| {
            view.pid.is_some_and(|pid| pid != process)
        })
        .await;
        let address = landing(Provider::Claude, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 400, "{error}");
        sidecar.shutdown().await;
    });
}

#[test]
fn on_the_same_machine_the_browser_finishes_the_login_unless_its_port_is_taken() {
    run(async {
        let bed = Bed::fake(&[]);
        let sidecar = bed.start();
        let (port, _) = Provider::Codex.callback();
        {
            let mut taken = None;
            eventually("the login's port is free", || {
                taken = TcpListener::bind(("0.0.0.0", port)).ok();
                taken.is_some()
            })
            .await;
            let started = sidecar
                .login("up", Provider::Codex, true)
                .await
                .expect("a login");
            assert!(started.manual, "then the user pastes");
            drop(taken);
        }
        let started = sidecar
            .login("up", Provider::Codex, true)
            .await
            .expect("a login");
        assert!(!started.manual);
        let state = started.state.clone();
        let ours = bed.port;
        let browser = move || {
            let head = format!("GET /auth/callback?code=alice&state={state} HTTP/1.1\r\n");
            let answer = request(port, &head, "");
            let location = answer
                .lines()
                .find_map(|line| line.strip_prefix("Location: "))
                .expect("a redirect");
            let path = location
                .split_once(&format!(":{ours}"))
                .expect("to the sidecar")
                .1
                .trim()
                .to_owned();
            request(ours, &format!("GET {path} HTTP/1.1\r\n"), "")
        };
        let page = tokio::task::spawn_blocking(browser).await.expect("a page");
        assert!(page.contains("Authentication successful"), "{page}");
        assert_eq!(
            email_of(&end_of(&sidecar, "up", &started.state).await),
            "alice@example.com"
        );
        // One that should finish by itself may be pasted all the same: the browser was on another machine.
        let started = sidecar
            .login("up", Provider::Codex, true)
            .await
            .expect("a login");
        let address = landing(Provider::Codex, "bob", &started.state);
        sidecar
            .complete(Provider::Codex, &address)
            .await
            .expect("taken");
        assert_eq!(
            email_of(&end_of(&sidecar, "up", &started.state).await),
            "bob@example.com"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn a_login_for_which_nothing_is_pasted_in_time_is_over_on_both_sides() {
    run_each(|mut bed| async move {
        bed.settings.login_limit = Duration::from_millis(700);
        let sidecar = bed.start();
        let early = sidecar
            .login("early", Provider::Claude, false)
            .await
            .expect("a login");
        assert_eq!(early.limit, Duration::from_millis(700));
        let since = Instant::now();
        let end = end_of(&sidecar, "early", &early.state).await;
        assert_eq!(end, Progress::Expired);
        assert!(since.elapsed() < PATIENCE / 2, "{:?}", since.elapsed());
        let mut told = Vec::new();
        end.write_json("early", &mut told);
        assert!(String::from_utf8_lossy(&told).contains(r#""status":"timeout""#));
        // What is pasted afterwards is refused before the sidecar hears of it, which has forgotten it as well.
        let address = landing(Provider::Claude, "alice", &early.state);
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.message.contains("start the login again"), "{error}");
        assert!(!sidecar.cancel("early", None).await, "it is over already");
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        // Another one is not touched by it.
        let next = sidecar
            .login("next", Provider::Codex, false)
            .await
            .expect("a login");
        let progress = sidecar.progress("next", Some(&next.state)).expect("it");
        assert_eq!(*progress.borrow(), Progress::Waiting);
        assert!(sidecar.cancel("next", None).await);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_new_account_proves_a_login_before_one_whose_token_was_renewed_meanwhile() {
    run(async {
        let bed = Bed::fake(&[("FAKE_OAUTH", "slow")]);
        bed.add_account("claude-aaa@example.com.json", "claude", "aaa@example.com");
        let sidecar = bed.ready().await;
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let address = landing(Provider::Claude, "zoe", &started.state);
        sidecar
            .complete(Provider::Claude, &address)
            .await
            .expect("taken");
        // Listed first, and its file changes while the code is exchanged.
        bed.add_account("claude-aaa@example.com.json", "claude", "aaa@example.com");
        let end = end_of(&sidecar, "up", &started.state).await;
        assert_eq!(email_of(&end), "zoe@example.com");
        sidecar.shutdown().await;
    });
}
