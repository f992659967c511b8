//! The accounts the sidecar holds, their models and their quotas.

use super::*;
use llm_wrapper::sidecar::accounts;

fn status_text(accounts: &[accounts::Account]) -> serde_json::Value {
    let mut out = Vec::new();
    accounts::write_status(accounts, &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn accounts_are_listed_switched_off_and_deleted_and_their_models_follow() {
    run_each(|bed| async move {
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        bed.add_account(
            "codex-0f0f0f0f-b@example.com-plus.json",
            "codex",
            "b@example.com",
        );
        // Not running: as the files show them. Nothing is started for it.
        let sidecar = bed.start();
        let status = status_text(&sidecar.accounts().await.expect("a list"));
        assert_eq!(status["providers"]["claude"]["account_count"], 1);
        assert_eq!(
            status["providers"]["claude"]["accounts"][0]["expiresAt"],
            "2099-01-01T00:00:00Z"
        );
        assert_eq!(sidecar.state().borrow().state, State::Stopped);

        let codex = "codex-0f0f0f0f-b@example.com-plus.json";
        let models = sidecar.account_models(codex).await.expect("models"); // this starts it
        assert!(
            models.iter().any(|model| model.id.starts_with("gpt-")),
            "{models:?}"
        );
        let listed = sidecar.accounts().await.expect("a list");
        let status = status_text(&listed);
        assert_eq!(
            status["providers"]["codex"]["accounts"][0]["email"],
            "b@example.com"
        );
        assert_eq!(
            status["providers"]["codex"]["accounts"][0]["expiresAt"],
            "2099-01-01T00:00:00Z"
        );
        assert!(!status.to_string().contains("secret-"), "no token leaves");

        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let offered = |what: &str| request(bed.port, &head, "").contains(what);
        assert!(offered("\"gpt-") && offered("\"claude-"), "models of both");
        sidecar
            .set_disabled(codex, true)
            .await
            .expect("switched off");
        eventually("its models are gone", || !offered("\"gpt-")).await;
        let listed = sidecar.accounts().await.expect("a list");
        let off = listed
            .iter()
            .find(|account| account.name == codex)
            .expect("it");
        assert!(off.disabled && off.status == "disabled", "{off:?}");
        sidecar
            .set_disabled(codex, false)
            .await
            .expect("switched on");
        eventually("its models are back", || offered("\"gpt-")).await;

        sidecar.delete_account(codex).await.expect("deleted");
        let error = sidecar.delete_account(codex).await.unwrap_err();
        assert_eq!(error.status(), 404, "{error}");
        assert_eq!(
            sidecar
                .set_disabled("none.json", true)
                .await
                .unwrap_err()
                .status(),
            404
        );
        assert_eq!(
            sidecar.log_out(Provider::Claude).await.expect("logged out"),
            1
        );
        assert_eq!(
            sidecar.log_out(Provider::Claude).await.expect("logged out"),
            0
        );
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn one_error_of_the_provider_takes_no_account_out() {
    run(async {
        let bed = Bed::fake(&[]);
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nx-api-key: {}\r\n",
            key.expose()
        );
        let failed = request(bed.port, &head, r#"{"model":"err-500"}"#);
        assert!(failed.starts_with("HTTP/1.1 500"), "{failed}");
        let next = request(bed.port, &head, r#"{"model":"claude-sonnet-5"}"#);
        assert!(next.starts_with("HTTP/1.1 200"), "{next}");
        assert_eq!(
            sidecar.accounts().await.expect("a list")[0].status,
            "active"
        );
        sidecar.shutdown().await;
    });
}

async fn quotas(mode: &str) -> serde_json::Value {
    let bed = Bed::fake(&[("FAKE_QUOTA", mode), ("FAKE_VERSION", "7.2.140")]);
    bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
    bed.add_account(
        "codex-0f0f0f0f-b@example.com-plus.json",
        "codex",
        "b@example.com",
    );
    bed.add_account("xai-c.json", "xai", "c@example.com");
    let sidecar = bed.start();
    if mode == "ok" {
        // An account that has just logged in is listed without its id.
        assert!(matches!(
            log_in(&sidecar, Provider::Codex, "new").await,
            Progress::Done(_)
        ));
    }
    let quotas = sidecar.quota().await.expect("quotas");
    let mut out = Vec::new();
    quota::write_json(&quotas, &mut out);
    // Nothing but the two addresses was asked, on behalf of the accounts alone.
    for call in bed
        .record()
        .iter()
        .filter(|line| line["path"] == "/v0/management/api-call")
    {
        let body: serde_json::Value =
            serde_json::from_str(call["body"].as_str().expect("text")).expect("JSON");
        let url = body["url"].as_str().expect("a URL");
        assert!(
            url.starts_with("https://api.anthropic.com/api/oauth/usage")
                || url.starts_with("https://chatgpt.com/backend-api/wham/usage")
        );
        assert_eq!(call["headers"].get("x-forwarded-for"), None);
    }
    sidecar.shutdown().await;
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn quotas_are_told_per_account() {
    run(async {
        let told = quotas("ok").await;
        let claude = &told["providers"]["claude"]["accounts"][0];
        assert_eq!(
            (&claude["status"], &claude["email"]),
            (&"low".into(), &"a@example.com".into())
        );
        assert_eq!(claude["windows"][0]["used_percent"], 12.5);
        assert_eq!(claude["windows"][1]["label"], "7d");
        assert!(claude.get("plan_type").is_none());
        let codex = &told["providers"]["codex"];
        assert_eq!(codex["account_count"], 2);
        for account in codex["accounts"].as_array().expect("accounts") {
            assert_eq!(
                (&account["status"], &account["plan_type"]),
                (&"exhausted".into(), &"plus".into())
            );
            assert_eq!(account["windows"][1]["reset_at"], "+3600s");
            assert_eq!(account["windows"][1]["exhausted"], true);
        }
        assert!(told["providers"].get("xai").is_none());
    });
}

#[test]
fn a_quota_that_cannot_be_told_says_why() {
    run(async {
        for (mode, words) in [
            ("401", "log in again"),
            ("429", "asked too often"),
            ("500", "status 500"),
            ("html", "not JSON"),
            ("offline", "could not reach"),
        ] {
            let told = quotas(mode).await;
            for provider in ["claude", "codex"] {
                let account = &told["providers"][provider]["accounts"][0];
                assert_eq!(account["status"], "error", "{mode}");
                assert!(
                    account["error"].as_str().expect("why").contains(words),
                    "{mode}: {account}"
                );
            }
        }
    });
}

#[test]
fn accounts_are_asked_for_their_quota_at_the_same_time() {
    run(async {
        let bed = Bed::fake(&[("FAKE_QUOTA", "slow")]);
        for name in ["a", "b", "c", "d", "e"] {
            bed.add_account(&format!("claude-{name}.json"), "claude", name);
        }
        let sidecar = bed.ready().await;
        let since = Instant::now();
        let quotas = sidecar.quota().await.expect("quotas");
        let took = since.elapsed();
        let of: Vec<&str> = quotas.iter().map(|quota| quota.email.as_str()).collect();
        assert_eq!(of, ["a", "b", "c", "d", "e"], "in the order of the list");
        assert!(quotas.iter().all(|quota| quota.status == "low"));
        assert!(
            took < Duration::from_secs(4),
            "each takes a second: {took:?}"
        );
        sidecar.shutdown().await;
    });
}
