//! What a supervisor of CLIProxyAPI must have met, and the tests in which ours does.

use crate::meta::sources;

/// A case and the tests that prove it.
type Case = (&'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "1 start late",
        &[
            "a_late_start_is_waited_for",
            "requests_wait_for_the_start_and_for_the_accounts",
        ],
    ),
    (
        "2 never ready",
        &[
            "one_that_never_answers_is_no_use_and_is_killed_at_the_end",
            "a_start_that_proves_nothing_is_ended_and_its_end_is_not_a_second_failure",
        ],
    ),
    (
        "3 ready, accounts late",
        &["traffic_waits_until_the_accounts_are_loaded"],
    ),
    (
        "4 exit 0 at its start",
        &["one_that_ends_at_its_start_is_tried_again_with_growing_pauses_and_its_last_words_kept"],
    ),
    (
        "5 crash loop with growing pauses",
        &[
            "one_that_ends_at_its_start_is_tried_again_with_growing_pauses_and_its_last_words_kept",
            "the_pauses_grow_to_their_bound_and_the_sixth_failure_gives_up_with_its_reason",
        ],
    ),
    (
        "6 crash in mid-stream",
        &[
            "a_crash_in_the_middle_of_a_stream_breaks_it_off_and_another_is_started",
            "a_crash_breaks_a_stream_off_in_every_protocol",
        ],
    ),
    (
        "7 the port is a stranger's",
        &["a_stranger_on_the_port_is_named_and_left_alone"],
    ),
    (
        "8 an orphan of ours",
        &["an_orphan_of_ours_is_recognised_and_ended_before_the_next_start"],
    ),
    (
        "9 SIGTERM of the gateway",
        &["the_sidecar_ends_with_the_gateway_after_its_requests"],
    ),
    (
        "10 SIGKILL of the gateway",
        &[
            "it_dies_with_a_gateway_that_is_killed",
            "it_dies_with_a_gateway_that_was_killed",
        ],
    ),
    (
        "11 it ignores SIGTERM",
        &["one_that_ignores_sigterm_is_killed_after_its_time"],
    ),
    (
        "12 a flood of log, odd bytes",
        &["a_flood_of_odd_bytes_is_drained_and_nothing_hangs"],
    ),
    (
        "13 its reader stalls",
        &["a_flood_of_odd_bytes_is_drained_and_nothing_hangs"],
    ),
    (
        "14 the gateway is killed with the pipe open",
        &[
            "it_dies_with_a_gateway_that_is_killed",
            "an_orphan_of_ours_is_recognised_and_ended_before_the_next_start",
        ],
    ),
    (
        "15 a key file is lost",
        &["lost_key_files_are_made_anew_at_the_next_start"],
    ),
    (
        "16 its config is edited by hand",
        &["a_config_edited_by_hand_or_emptied_is_written_anew_before_the_next_start"],
    ),
    (
        "17 its config is replaced by rename",
        &["a_change_reaches_one_whose_config_was_replaced_by_rename"],
    ),
    (
        "18 a wrong key never becomes a ban",
        &[
            "a_wrong_management_key_is_tried_once_and_never_becomes_a_ban",
            "five_wrong_keys_are_a_ban_that_refuses_the_right_one",
        ],
    ),
    (
        "19 login",
        &[
            "logins_succeed_with_every_version_and_a_second_one_of_the_same_account_too",
            "a_login_goes_from_anywhere_to_an_account_that_answers_and_out_again",
        ],
    ),
    (
        "20 login denied",
        &[
            "a_denial_that_is_pasted_ends_the_login_with_the_providers_words",
            "a_refused_a_failed_and_an_expired_login_are_told_in_words_to_act_on",
        ],
    ),
    (
        "21 login with another's state",
        &["what_is_pasted_is_checked_before_the_sidecar_hears_of_it"],
    ),
    (
        "22 junk is pasted",
        &["what_is_pasted_is_checked_before_the_sidecar_hears_of_it"],
    ),
    (
        "23 login expired",
        &[
            "a_login_for_which_nothing_is_pasted_in_time_is_over_on_both_sides",
            "a_refused_a_failed_and_an_expired_login_are_told_in_words_to_act_on",
        ],
    ),
    (
        "24 login cancelled",
        &[
            "a_cancelled_login_takes_nothing_any_more_and_saves_nothing",
            "a_login_cancelled_during_the_exchange_saves_nothing",
        ],
    ),
    (
        "25 two logins at once",
        &[
            "two_logins_at_once_end_with_their_own_accounts",
            "two_logins_at_once_keep_apart_and_one_may_be_left",
        ],
    ),
    (
        "26 restarted in mid-login",
        &["a_restart_in_the_middle_of_a_login_ends_it_with_the_reason"],
    ),
    (
        "27 a known account again",
        &["logins_succeed_with_every_version_and_a_second_one_of_the_same_account_too"],
    ),
    (
        "28 accounts after delete and disable",
        &[
            "accounts_are_listed_switched_off_and_deleted_and_their_models_follow",
            "one_account_is_switched_off_on_and_out",
        ],
    ),
    (
        "29 quota",
        &[
            "quotas_are_told_per_account",
            "quotas_are_told_for_every_account_without_its_token",
        ],
    ),
    ("30 quota 401", &["a_quota_that_cannot_be_told_says_why"]),
    (
        "31 quota that is not JSON",
        &["a_quota_that_cannot_be_told_says_why"],
    ),
    (
        "32 models of mixed accounts",
        &["each_oauth_upstream_lists_its_own_providers_models_under_their_own_names"],
    ),
];

#[test]
fn every_case_of_supervision_has_a_test() {
    let text = sources();
    for (at, (case, tests)) in CASES.iter().enumerate() {
        let number = case
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        assert_eq!(number, Some(at + 1), "the list is in order");
        assert!(!tests.is_empty(), "no test proves case {case}");
        for name in *tests {
            let written = format!("#[test]\nfn {name}() {{");
            let inside = format!("#[test]\n    fn {name}() {{");
            assert!(
                text.contains(&written) || text.contains(&inside),
                "case {case}: there is no test {name}"
            );
        }
    }
    assert_eq!(CASES.len(), 32);
}
