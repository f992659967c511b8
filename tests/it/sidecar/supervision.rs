//! Started, proven, restarted, given up, ended; and never a signal to a process that is not ours.

use super::*;

#[test]
fn nothing_is_started_until_it_is_wanted_and_it_is_ended_when_it_no_longer_is() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        sleep(Duration::from_millis(100)).await;
        assert!(
            !bed.settings.data_dir.exists(),
            "not even a folder was made"
        );
        sidecar.want(true).await;
        let ready = ready(&sidecar, PATIENCE).await.expect("ready");
        let process = pid(&sidecar);
        assert!(is_alive(process));
        assert!(ready.api_key.is_some());
        let mut view = sidecar.state();
        let version = view
            .borrow()
            .version()
            .map(str::to_owned)
            .expect("a version");
        println!("version {version}");
        sidecar.want(false).await;
        seen(&mut view, "its end", |view| view.pid.is_none()).await;
        assert!(!is_alive(process));
        assert_eq!(view.borrow().state, State::Stopped);
        assert_eq!(view.borrow().reason, None);
        assert!(!bed.data("cli-proxy-api.pid").exists());
        sidecar.shutdown().await;
    });
}

#[test]
fn the_process_is_apart_and_its_files_are_closed() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        assert_eq!(status_line(process, "Umask"), "0077");
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("its stat");
        let after_name = stat.rsplit_once(") ").expect("a name").1;
        assert_eq!(
            after_name.split(' ').nth(3),
            Some(process.to_string().as_str()),
            "a session of its own"
        );
        let cwd = std::fs::read_link(format!("/proc/{process}/cwd")).expect("its folder");
        assert_eq!(
            cwd,
            std::fs::canonicalize(bed.data("cli-proxy-api-run")).expect("ours")
        );
        let environ =
            std::fs::read_to_string(format!("/proc/{process}/environ")).expect("its environment");
        let names: Vec<&str> = environ
            .split('\0')
            .filter_map(|pair| Some(pair.split_once('=')?.0))
            .collect();
        let mut expected = vec!["FAKE_RECORD", "HOME", "MANAGEMENT_PASSWORD"];
        expected.sort_unstable();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let cmdline =
            std::fs::read_to_string(format!("/proc/{process}/cmdline")).expect("its arguments");
        let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
        assert!(!cmdline.contains(&key) && cmdline.contains("--local-model"));
        for (name, mode) in [
            ("cli-proxy-api-secret", 0o600),
            ("cli-proxy-api-key", 0o600),
            ("cli-proxy-api-config.yaml", 0o600),
            ("cli-proxy-api", 0o700),
            ("cli-proxy-api-run", 0o700),
            ("cli-proxy-api.pid", 0o600),
        ] {
            let meta = std::fs::metadata(bed.data(name)).expect("the file");
            assert_eq!(meta.mode() & 0o777, mode, "{name}");
        }
        let config =
            std::fs::read_to_string(bed.data("cli-proxy-api-config.yaml")).expect("the config");
        assert!(
            !config.contains(&key),
            "the management key is in no file of the sidecar's"
        );
        sidecar.shutdown().await;
        assert!(!is_alive(process));
    });
}

#[test]
fn without_its_key_the_data_plane_is_closed_and_with_it_open() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let without = request(bed.port, "GET /v1/models HTTP/1.1\r\n", "");
        assert!(without.starts_with("HTTP/1.1 401"), "{without}");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        assert!(request(bed.port, &head, "").starts_with("HTTP/1.1 200"));
        // A failed request leaves no prompt in a file.
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let refused = request(bed.port, &head, r#"{"model":"nothing","messages":[]}"#);
        assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
        assert!(!bed.accounts().join("logs").exists());
        sidecar.shutdown().await;
    });
}

#[test]
fn a_late_start_is_waited_for() {
    run(async {
        let bed = Bed::fake(&[("FAKE_START_DELAY_MS", "900")]);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let early = ready(&sidecar, Duration::from_millis(150))
            .await
            .map(|_| ());
        assert_down(&early.unwrap_err(), "it is being started");
        ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(bed.starts(), 1);
        sidecar.shutdown().await;
    });
}

#[test]
fn one_that_never_answers_is_no_use_and_is_killed_at_the_end() {
    run(async {
        let bed = Bed::fake(&[("FAKE_HANG_HEALTH", "1")]);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_secs(1))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "it is being started");
        let process = pid(&sidecar);
        sidecar.shutdown().await;
        assert!(!is_alive(process));
    });
}

#[test]
fn traffic_waits_until_the_accounts_are_loaded() {
    run_each(|mut bed| async move {
        bed.settings
            .environment
            .push(("FAKE_LOAD_DELAY_MS".into(), "1200".into()));
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let models = request(bed.port, &head, "");
        assert!(models.contains("\"claude-"), "{models}");
        sidecar.shutdown().await;
    });
}

#[test]
fn one_that_ends_at_its_start_is_tried_again_with_growing_pauses_and_its_last_words_kept() {
    run(async {
        let bed = Bed::fake(&[("FAKE_EXIT_CODE", "0")]);
        let sidecar = bed.start();
        let mut view = sidecar.state();
        sidecar.want(true).await;
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let is_backoff = |view: &View| matches!(view.state, State::Backoff { .. });
            let backoff = seen(&mut view, "a failure", is_backoff).await;
            let State::Backoff { until } = backoff.state else {
                unreachable!("as waited for")
            };
            pauses.push((until - Instant::now()).as_millis());
            let reason = backoff.reason.expect("a reason");
            assert!(
                reason.contains("exit code 0") && reason.contains("told to end at once"),
                "{reason}"
            );
            seen(&mut view, "a new start", |view| {
                matches!(view.state, State::Starting { .. })
            })
            .await;
        }
        assert!(
            pauses[0] < 600 && pauses[1] > 700 && pauses[2] > 1500,
            "{pauses:?}"
        );
        let error = ready(&sidecar, Duration::from_millis(100))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "told to end at once");
        sidecar.shutdown().await;
        assert!(bed.starts() >= 3);
    });
}

#[test]
fn a_crash_in_the_middle_of_a_stream_breaks_it_off_and_another_is_started() {
    run(async {
        let bed = Bed::fake(&[("FAKE_CRASH_AFTER_MS", "1500")]);
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let first = pid(&sidecar);
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let port = bed.port;
        let stream = std::thread::spawn(move || {
            let head = format!(
                "POST /v1/messages HTTP/1.1\r\nx-api-key: {}\r\n",
                key.expose()
            );
            request(
                port,
                &head,
                r#"{"model":"drip-claude-sonnet-5","stream":true}"#,
            )
        });
        let mut view = sidecar.state();
        let after = seen(&mut view, "the crash", |view| view.pid != Some(first)).await;
        assert!(after.reason.expect("a reason").contains("told to crash"));
        let broken = stream.join().expect("an answer");
        assert!(
            broken.starts_with("HTTP/1.1 200") && !broken.ends_with("0\r\n\r\n"),
            "{broken}"
        );
        ready(&sidecar, PATIENCE).await.expect("ready again");
        assert_ne!(pid(&sidecar), first);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_missing_program_is_told_at_once_with_what_to_install() {
    run(async {
        let mut bed = Bed::fake(&[]);
        bed.settings.binary = "CLIProxyAPI".into();
        let sidecar = bed.start();
        sidecar.want(true).await;
        let since = Instant::now();
        let error = ready(&sidecar, PATIENCE).await.map(|_| ()).unwrap_err();
        assert_down(
            &error,
            "https://github.com/router-for-me/CLIProxyAPI/releases",
        );
        assert!(since.elapsed() < Duration::from_secs(2));
        // Once it is there the user's next try finds it.
        std::fs::copy(fake(), bed.folder.0.join("CLIProxyAPI")).expect("a copy");
        sidecar.retry().await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        sidecar.shutdown().await;
    });
}

#[test]
fn a_stranger_on_the_port_is_named_and_left_alone() {
    run_each(|bed| async move {
        let mut stranger = Stranger::start(bed.port);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_millis(300))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "another program answers on 127.0.0.1");
        assert!(stranger.is_alive());
        assert!(stranger.recorded().is_empty(), "not a byte was sent to it");
        stranger.end();
        ready(&sidecar, PATIENCE)
            .await
            .expect("ready once the port is free");
        sidecar.shutdown().await;
    });
}

#[test]
fn one_that_ignores_sigterm_is_killed_after_its_time() {
    run(async {
        let bed = Bed::fake(&[("FAKE_IGNORE_SIGTERM", "1")]);
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        let since = Instant::now();
        sidecar.shutdown().await;
        assert!(!is_alive(process));
        assert!(
            since.elapsed() >= process::END_LIMIT,
            "{:?}",
            since.elapsed()
        );
    });
}

#[test]
fn a_flood_of_odd_bytes_is_drained_and_nothing_hangs() {
    run(async {
        let bed = Bed::fake(&[("FAKE_LOG_FLOOD", "1")]);
        let sidecar = bed.ready().await;
        // The reader stalls for a while, which blocks the sidecar's log; it goes on when the reader does.
        std::thread::sleep(Duration::from_millis(300));
        let port = bed.port;
        let health =
            tokio::task::spawn_blocking(move || request(port, "GET /healthz HTTP/1.1\r\n", ""));
        let health = timeout(PATIENCE, health)
            .await
            .expect(NEVER)
            .expect("an answer");
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        sidecar.shutdown().await;
    });
}

#[test]
fn lost_key_files_are_made_anew_at_the_next_start() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let first = ready(&sidecar, PATIENCE).await.expect("ready").api_key;
        sidecar.shutdown().await;
        for name in ["cli-proxy-api-secret", "cli-proxy-api-key"] {
            std::fs::remove_file(bed.data(name)).expect("the file");
        }
        let sidecar = bed.ready().await;
        assert_ne!(
            ready(&sidecar, PATIENCE).await.expect("ready").api_key,
            first
        );
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_config_edited_by_hand_or_emptied_is_written_anew_before_the_next_start() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        sidecar.shutdown().await;
        let path = bed.data("cli-proxy-api-config.yaml");
        let ours = std::fs::read_to_string(&path).expect("the config");
        std::fs::write(&path, ours.replace("127.0.0.1", "0.0.0.0")).expect("an edit");
        let sidecar = bed.ready().await;
        assert_eq!(std::fs::read_to_string(&path).expect("the config"), ours);
        let aside =
            std::fs::read_to_string(bed.data("cli-proxy-api-config.yaml.bak")).expect("put aside");
        assert!(aside.contains("0.0.0.0"));
        sidecar.shutdown().await;
        std::fs::write(&path, "").expect("an empty file");
        let sidecar = bed.ready().await;
        assert_eq!(std::fs::read_to_string(&path).expect("the config"), ours);
        sidecar.shutdown().await;
    });
}

/// Waits until the running sidecar says that this is its proxy.
async fn until_it_goes_through(bed: &Bed, proxy: &str) {
    let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
    let head = format!("GET /v0/management/proxy-url HTTP/1.1\r\nAuthorization: Bearer {key}\r\n");
    let port = bed.port;
    let since = Instant::now();
    loop {
        let head = head.clone();
        let answer = tokio::task::spawn_blocking(move || request(port, &head, ""))
            .await
            .expect("an answer");
        if answer.contains(proxy) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{answer}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn another_proxy_is_taken_up_in_place_and_another_port_by_a_restart() {
    run_each(|mut bed| async move {
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        let path = bed.data("cli-proxy-api-config.yaml");
        let inode = std::fs::metadata(&path).expect("the config").ino();
        // At once after the start, when the sidecar does not watch its file yet.
        bed.settings.proxy_url = Some(Key::new("http://user:word@127.0.0.1:9"));
        sidecar.update(bed.settings.clone()).await;
        until_it_goes_through(&bed, "http://user:word@127.0.0.1:9").await;
        assert_eq!(std::fs::metadata(&path).expect("the config").ino(), inode);
        assert_eq!(pid(&sidecar), process, "no restart");

        bed.port = free_port();
        bed.settings.endpoint =
            Base::parse(&format!("http://localhost:{}", bed.port)).expect("a URL");
        sidecar.update(bed.settings.clone()).await;
        let mut view = sidecar.state();
        let is_new = |view: &View| view.pid.is_some_and(|pid| pid != process);
        seen(&mut view, "a new process", is_new).await;
        assert!(!is_alive(process));
        let now = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(now.origin.port(), bed.port);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_change_reaches_one_whose_config_was_replaced_by_rename() {
    run_each(|mut bed| async move {
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        sleep(Duration::from_millis(600)).await; // it watches its file by now
        let path = bed.data("cli-proxy-api-config.yaml");
        let aside = bed.data("copy.yaml");
        std::fs::copy(&path, &aside).expect("a copy");
        std::fs::rename(&aside, &path)
            .expect("a rename, which it never sees, nor anything after it");
        bed.settings.proxy_url = Some(Key::new("http://127.0.0.1:9"));
        sidecar.update(bed.settings.clone()).await;
        until_it_goes_through(&bed, "http://127.0.0.1:9").await;
        assert_eq!(pid(&sidecar), process, "no restart");
        let without = request(bed.port, "GET /v1/models HTTP/1.1\r\n", "");
        assert!(
            without.starts_with("HTTP/1.1 401"),
            "it is as closed as before: {without}"
        );
        sidecar.shutdown().await;
    });
}

const HOST: &str = "LLM_WRAPPER_TEST_SIDECAR_HOST";

/// Not a test of anything: run again as a process of its own, it is a gateway that can be killed.
#[test]
fn host() {
    let Ok(asked) = std::env::var(HOST) else {
        return;
    };
    let mut words = asked.split('\n');
    let mut next = || {
        words
            .next()
            .expect("program, folder, port and knob")
            .to_owned()
    };
    let (program, folder, port, knob) = (next(), PathBuf::from(next()), next(), next());
    run(async move {
        let mut bed = Bed::new(Path::new(&program), &[]);
        bed.settings.data_dir = folder.join("data");
        bed.settings.endpoint = Base::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
        if !knob.is_empty() {
            bed.settings.environment.push((knob, "1".into()));
        }
        let sidecar = bed.start();
        sidecar.want(true).await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        std::fs::write(folder.join("pid.part"), pid(&sidecar).to_string()).expect("a note");
        std::fs::rename(folder.join("pid.part"), folder.join("pid")).expect("a note");
        std::future::pending::<()>().await;
    });
}

/// A gateway in a process of its own whose sidecar is ready; gives the sidecar's pid.
async fn host_process(bed: &Bed, knob: &str) -> (Child, u32) {
    let asked = format!(
        "{}\n{}\n{}\n{knob}",
        bed.settings.binary,
        bed.folder.0.display(),
        bed.port
    );
    let child = Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", "sidecar::supervision::host", "--nocapture"])
        .env(HOST, asked)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a gateway");
    let path = bed.folder.0.join("pid");
    eventually("the host's sidecar", || path.exists()).await;
    let text = std::fs::read_to_string(&path).expect("the note");
    (child, text.parse().expect("a number"))
}

#[test]
fn it_dies_with_a_gateway_that_is_killed() {
    run_each(|bed| async move {
        let (mut gateway, process) = host_process(&bed, "").await;
        assert!(is_alive(process));
        // Meanwhile another gateway in the same folder keeps its hands off.
        let mut second = bed.settings.clone();
        second.endpoint = Base::parse(&format!("http://127.0.0.1:{}", free_port())).expect("a URL");
        let sidecar = Sidecar::start(second);
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_secs(3))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(
            &error,
            &format!("another llm-wrapper (process {})", gateway.id()),
        );
        assert!(is_alive(process));
        sidecar.shutdown().await;

        // Past the last line of its start: a line into the closed pipe would end it too.
        sleep(Duration::from_millis(600)).await;
        gateway.kill().expect("kill -9");
        gateway.wait().expect("its end");
        eventually("the sidecar's death", || !is_alive(process)).await;
    });
}

#[test]
fn an_orphan_of_ours_is_recognised_and_ended_before_the_next_start() {
    run(async {
        let bed = Bed::fake(&[]);
        // It ignores the death signal, and its pipe has no reader any more.
        let (mut gateway, orphan) = host_process(&bed, "FAKE_IGNORE_SIGTERM").await;
        sleep(Duration::from_millis(500)).await; // its last line of the start, which would kill it later
        gateway.kill().expect("kill -9");
        gateway.wait().expect("its end");
        sleep(Duration::from_millis(300)).await;
        assert!(is_alive(orphan), "or this tests nothing");
        let sidecar = bed.start();
        sidecar.want(true).await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        assert!(!is_alive(orphan));
        assert_ne!(pid(&sidecar), orphan);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_wrong_management_key_is_tried_once_and_never_becomes_a_ban() {
    run(async {
        let mut bed = Bed::fake(&[]);
        let stranger = Stranger::start(bed.port);
        bed.settings.manage = Manage::Never;
        bed.settings.management_key = Some(Key::new("wrong"));
        let sidecar = bed.start();
        sidecar.want(true).await;
        let now = ready(&sidecar, PATIENCE)
            .await
            .expect("it is taken as it is");
        assert_eq!((now.origin.port(), now.api_key), (bed.port, None));
        // Several at once, one after another, at a login, at a wish, at a reload that changes nothing: one try.
        let (one, two) = (sidecar.clone(), sidecar.clone());
        let one = tokio::spawn(async move { one.accounts().await });
        let two = tokio::spawn(async move { two.quota().await });
        let error = one.await.expect("no panic").unwrap_err();
        two.await.expect("no panic").unwrap_err();
        for _ in 0..8 {
            sidecar
                .login("claude", Provider::Claude, false)
                .await
                .unwrap_err();
            sidecar.accounts().await.unwrap_err();
            sidecar.retry().await;
            sidecar.update(bed.settings.clone()).await;
        }
        assert!(
            error.message.contains("cli_proxy_api.management_key"),
            "{error}"
        );
        assert_eq!(stranger.recorded().len(), 1);
        bed.settings.management_key = Some(Key::new("their-management-key"));
        bed.settings.api_key = Some(Key::new("their-key"));
        sidecar.update(bed.settings.clone()).await;
        assert_eq!(sidecar.accounts().await.expect("no ban"), []);
        let now = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(now.api_key, Some(Key::new("their-key")));
        sidecar.shutdown().await;
    });
}

#[test]
fn without_a_management_key_the_data_plane_works_and_accounts_say_what_is_missing() {
    run(async {
        let mut bed = Bed::fake(&[]);
        let stranger = Stranger::start(bed.port);
        bed.settings.manage = Manage::Never;
        bed.settings.api_key = Some(Key::new("their-key"));
        let sidecar = bed.start();
        assert!(
            ready(&sidecar, PATIENCE)
                .await
                .expect("ready")
                .api_key
                .is_some()
        );
        let error = sidecar.accounts().await.unwrap_err();
        assert!(
            error.message.contains("set cli_proxy_api.management_key"),
            "{error}"
        );
        assert!(stranger.recorded().is_empty());
        let view = sidecar.state().borrow().clone();
        let mut out = Vec::new();
        view.write_json(Instant::now(), &mut out);
        assert!(out.starts_with(br#"{"state":"external","#));
        sidecar.shutdown().await;
    });
}

#[test]
fn ours_is_ended_when_someone_else_runs_it_from_now_on_and_started_when_we_do_again() {
    run(async {
        let mut bed = Bed::fake(&[]);
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        let own = bed.settings.clone();
        let stranger = Stranger::start(free_port());
        bed.settings.manage = Manage::Never;
        bed.settings.endpoint =
            Base::parse(&format!("http://127.0.0.1:{}", stranger.port)).expect("a URL");
        sidecar.update(bed.settings.clone()).await;
        let theirs = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(theirs.origin.port(), stranger.port);
        eventually("the end of ours", || !is_alive(process)).await;
        sidecar.update(own).await;
        let ours = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(ours.origin.port(), bed.port);
        assert_ne!(pid(&sidecar), process);
        sidecar.shutdown().await;
    });
}
