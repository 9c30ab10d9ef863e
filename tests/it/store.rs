//! What [`Store`] promises, held against every implementation.

pub(crate) mod bench;
#[cfg(feature = "postgres")]
mod causes;
#[cfg(feature = "postgres")]
mod failover;
#[cfg(feature = "postgres")]
mod growth;
#[cfg(feature = "postgres")]
mod network;
mod opening;
#[cfg(feature = "postgres")]
mod password;
#[cfg(feature = "postgres")]
mod pooled;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod suite;
#[cfg(feature = "postgres")]
mod tls;
#[cfg(feature = "postgres")]
mod trouble;

/// One test for each claim of the suite and each store.
macro_rules! conformance {
    ($($group:ident: { $($claim:ident),+ $(,)? })+) => {
        #[cfg(feature = "sqlite")]
        mod sqlite_conforms {
            $($(
                #[tokio::test]
                async fn $claim() {
                    super::suite::$group::$claim(&super::bench::Bench::sqlite()).await;
                }
            )+)+
        }

        #[cfg(feature = "postgres")]
        mod pgbouncer_conforms {
            $($(
                #[tokio::test]
                async fn $claim() {
                    super::suite::$group::$claim(&super::bench::Bench::pgbouncer().await).await;
                }
            )+)+
        }

        #[cfg(feature = "postgres")]
        mod postgres_conforms {
            $($(
                #[tokio::test]
                async fn $claim() {
                    super::suite::$group::$claim(&super::bench::Bench::postgres().await).await;
                }
            )+)+
        }
    };
}

conformance! {
    append: {
        every_field_comes_back_as_it_was,
        fields_that_are_not_known_come_back_null,
        every_word_comes_back,
        awkward_text_comes_back,
        a_record_erased_in_part_comes_back,
        an_empty_batch_is_no_error,
        a_batch_of_many_is_one,
        to_append_twice_is_to_append_once,
        a_record_never_changes,
        a_batch_with_a_bad_record_leaves_nothing,
        a_nul_is_refused,
        two_closers_write_one_record,
        appending_at_once_loses_nothing,
        what_was_appended_is_there_for_the_next_process,
        stored_at_is_the_databases_clock,
        records_of_any_year_are_kept,
    }
    read: {
        the_newest_comes_first,
        pages_meet_without_gap_or_overlap,
        a_limit_of_zero_is_all,
        a_user_is_found_as_claimed_and_as_authenticated,
        since_is_inclusive_and_until_exclusive,
        each_action_is_found_alone,
        each_verdict_is_found_alone,
        each_outcome_is_found_alone,
        filters_add_up,
        an_open_intent_reads_as_unanswered,
        an_exchange_is_both_its_records_oldest_first,
        what_is_missing_is_named,
    }
    runs: {
        a_run_that_is_renewed_lives,
        a_run_that_was_not_renewed_is_dead,
        a_run_that_ended_is_dead_at_once,
        a_buried_run_is_dead_no_more,
        a_run_of_which_something_was_heard_meanwhile_is_not_buried,
        a_buried_run_that_is_renewed_lives_again,
        a_buried_run_that_ends_is_looked_at_again,
        renewing_says_what_the_databases_clock_says,
        open_intents_are_those_of_the_run_without_an_outcome,
        a_run_that_ended_with_nothing_open_is_buried_at_once,
        open_intents_are_looked_for_in_steps_the_newest_first,
    }
    schema: {
        an_empty_database_is_outdated,
        nothing_works_on_an_empty_database_and_the_error_says_why,
        migrating_again_changes_nothing,
        five_may_migrate_at_once,
        a_newer_schema_is_an_error_that_says_so,
        maintaining_a_new_trail_has_nothing_to_say,
    }
    tree: {
        a_new_tree_is_empty,
        what_is_appended_waits_once_in_the_order_of_its_arrival,
        a_step_is_written_as_a_whole,
        a_step_that_declines_writes_nothing,
        a_step_that_cannot_be_written_leaves_nothing,
        several_that_seal_at_once_make_one_tree,
        a_step_is_given_the_edge_of_the_tree_and_the_newest_checkpoint,
        what_nobody_put_in_line_is_found_once,
        what_was_sealed_or_waits_is_no_stray,
        leaves_come_in_order_with_their_records,
        a_leaf_whose_record_is_gone_says_so,
        checkpoints_come_in_order_and_the_newest_first,
        a_lost_checkpoint_is_named_by_its_record,
    }
    search: {
        a_page_is_the_same_whatever_the_summary_knows,
        a_page_is_the_same_however_many_share_what_is_looked_for,
    }
    desk: {
        an_empty_trail_has_an_empty_summary,
        the_summary_counts_what_the_records_say,
        whatever_the_order_of_arrival_the_summary_is_the_same,
        several_that_summarise_at_once_count_a_record_once,
        a_read_of_what_nobody_wrote_is_a_drift,
        types_that_disagree_are_found_until_they_agree,
    }
}
